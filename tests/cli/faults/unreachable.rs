//! Stores that cannot be reached at all (case 33).

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::harness::{Finished, World, finish};

async fn publish(world: &World, endpoint: &str) -> Finished {
    let mut command = world.command(&["publish", "site"]);
    command
        .env("AWNING_STORE_ENDPOINT", endpoint)
        .env("AWNING_STORE_TIMEOUT", "1s")
        .env("AWNING_STORE_BACKOFF_MAX", "50ms");
    finish(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_reached_is_worth_another_try_later() {
    let world = World::new().await;
    super::site(&world, "red");
    // Reserved by RFC 6761: no name server knows it.
    let nameless = publish(&world, "http://bucket.invalid").await.exited(4);
    assert!(nameless.stderr.contains("there is no answer"), "{}", nameless.stderr);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let refused = publish(&world, &format!("http://{address}")).await.exited(4);
    assert!(refused.stderr.contains("onnection refused"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_never_accepted_is_given_up() {
    let world = World::new().await;
    super::site(&world, "red");
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts, and the queue has room for two.
    let _queued = [TcpStream::connect(address).await, TcpStream::connect(address).await];
    publish(&world, &format!("http://{address}")).await.exited(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_breaks_off_is_tried_again_and_given_up() {
    let world = World::new().await;
    super::site(&world, "red");
    world.proxy.reset_connections(u64::MAX);
    publish(&world, &world.proxy.url().replace("http:", "https:")).await.exited(4);
    let counts = world.proxy.counts();
    assert_eq!((counts.connections, counts.total()), (2, 0));

    // One reset before plain HTTP is one more connection and no failure.
    world.proxy.script(awning_front::Script::new());
    world.proxy.reset_connections(1);
    publish(&world, &world.proxy.url()).await.exited(0);
    assert!(world.served("app.css").await.unwrap().contains("red"));
}
