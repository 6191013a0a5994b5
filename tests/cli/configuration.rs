//! What a typo in the configuration looks like.

use crate::harness::{World, bare_command, finish};

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_told_at_once_with_its_line() {
    let world = World::new().await;
    world.write(
        "awning.toml",
        "[store]\nbucket = \"etalage\"\nendpiont = \"https://s3.example\"\n\n[shield]\nmemory = \"256MB\"\n\n\
         [[site]]\nhosts = [\"www.example.nl\"]\nserve = \"storefront\"\nchanel = \"production\"\n",
    );
    let refused = world.run(&["serve"]).await.exited(2);
    for expected in [
        "awning.toml:3: unknown key `store.endpiont`: did you mean `endpoint`?",
        "awning.toml:6: `shield.memory`: `256MB` is no size: write a whole number and KiB, MiB or GiB",
        "awning.toml:8: a storefront needs `upstream`",
        "awning.toml:11: unknown key `site[0].chanel`: did you mean `channel`?",
    ] {
        assert!(refused.stderr.contains(expected), "missing: {expected}\n{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_and_buckets_say_what_to_set() {
    let unset = finish(bare_command(&["publish", "."])).await.exited(2);
    assert!(unset.stderr.contains("AWNING_STORE_BUCKET"), "{}", unset.stderr);

    let mut command = bare_command(&["publish", "."]);
    command.env("AWNING_STORE_BUCKET", "b").env("AWNING_STORE_ENDPOINT", "http://127.0.0.1:1");
    let unset = finish(command).await.exited(2);
    assert!(unset.stderr.contains("B2_APPLICATION_KEY_ID"), "{}", unset.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_file_that_is_not_there_is_an_error() {
    let missing = finish(bare_command(&["--config", "none.toml", "serve"])).await.exited(2);
    assert!(missing.stderr.contains("none.toml"), "{}", missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_exits_2() {
    finish(bare_command(&["publish"])).await.exited(2);
    finish(bare_command(&["frobnicate"])).await.exited(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_filter_that_cannot_be_read_is_an_error() {
    let mut command = bare_command(&["completions", "bash"]);
    command.env("AWNING_LOG", "awning=loud");
    let refused = finish(command).await.exited(2);
    assert!(refused.stderr.contains("AWNING_LOG"), "{}", refused.stderr);
}
