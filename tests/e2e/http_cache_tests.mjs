// Runs the public suite of tests for HTTP caches against BASE and prints one line a test: `kind<TAB>id<TAB>result<TAB>reason`.
// usage: node http_cache_tests.mjs SUITE_DIRECTORY BASE
const [, , directory, base] = process.argv
const load = path => import(`${directory}/${path}`)
const { runTests, getResults } = await load('client/runner.mjs')
const { default: fetch } = await load('../node-fetch/lib/index.mjs').catch(() => load('node_modules/node-fetch/lib/index.mjs'))
const { default: suites } = await load('tests/index.mjs')
const { default: surrogate } = await load('tests/surrogate-control.mjs')

const all = [...suites, surrogate]
await runTests(all, fetch, false, base)
const results = getResults()
const passed = id => results[id] === true
for (const suite of all) {
  for (const test of suite.tests) {
    if (test.browser_only || !(test.id in results)) continue
    const result = results[test.id]
    // A test whose premise does not hold says nothing about the cache.
    const premises = [test.depends_on ?? []].flat()
    const said = Array.isArray(result) ? result : [result === true ? 'Pass' : String(result), '']
    const outcome = result === true ? 'pass'
      : said[0] === 'Setup' ? 'setup'
        : premises.every(passed) ? 'fail' : 'premise'
    const reason = String(said[1] ?? '').replaceAll(/\s+/g, ' ')
    console.log([test.kind ?? 'required', test.id, outcome, reason].join('\t'))
  }
}
process.exit(0)
