// Resolves what pages and modules import through the map that `awning manifest --format importmap` printed.
// Usage: formats.mjs DIRECTORY PUBLIC_URL RESOLVER, with DIRECTORY/{awning,flat,importmap}.json.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [, , directory, base, resolver] = process.argv;
const { ImportMap } = await import(pathToFileURL(resolver));
const read = (name) => JSON.parse(readFileSync(`${directory}/${name}.json`, 'utf8'));
const [{ entries }, urls, written] = [read('awning'), read('flat'), read('importmap')];

const map = new ImportMap({ map: written, mapUrl: 'https://www.example.nl/', rootUrl: null });
const is = (name, expected, found) =>
  console.log(expected === found ? `pass: ${name}` : `fail: ${name}: expected '${expected}', found '${found}'`);

is('a page imports a script by its path', urls['js/app.js'], map.resolve('js/app.js'));
is('a page imports a script by its plain URL', urls['js/app.js'], map.resolve(`${base}/js/app.js`));
is('a fingerprinted module finds its neighbour', urls['js/dep.js'], map.resolve('./dep.js', urls['js/app.js']));
is('a neighbour has its integrity', entries['js/dep.js'].integrity, map.getIntegrity(urls['js/dep.js']));
