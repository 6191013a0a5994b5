//! What goes on while the bucket is away, and how soon its return is seen.

use std::sync::Arc;
use std::time::Duration;

use awning::asset::KeyLayout;
use awning::store::StoreErrorKind;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::harness::origin::Script;
use crate::harness::release::{CDN, Release, SHOP, SITE, Street, channel};
use crate::harness::visit::get;

const DAY: Duration = Duration::from_secs(86_400);

/// How often a healthy bucket is looked at.
const EVERY: Duration = Duration::from_secs(5);

fn release() -> Release {
    Release::default()
        .with("index.html", "<link rel=stylesheet href=/css/app.css>")
        .with("css/app.css", "p{}")
        .with("img/foto.jpg", "jpeg")
}

fn head() -> String {
    KeyLayout::default().head(channel())
}

fn fail(street: &Street, release: &Release) {
    let objects = ["index.html", "css/app.css", "img/foto.jpg"].map(|path| release.key(path));
    for key in objects.into_iter().chain([head()]) {
        street.origin.script(&key, Script::Fails(StoreErrorKind::Unavailable));
    }
}

#[tokio::test]
async fn everything_that_is_stored_is_served_for_a_day_without_the_bucket() {
    let release = release();
    let street = Street::with(&release).await;
    let (css, foto) = (release.name("css/app.css"), release.name("img/foto.jpg"));
    let same_origin = format!("/_a{css}");
    let visits = [
        (CDN, css.as_str()),
        (CDN, foto.as_str()),
        (CDN, "/css/app.css"),
        (SITE, "/"),
        (SHOP, same_origin.as_str()),
    ];
    for (host, path) in visits {
        assert_eq!(get(host, path).of(&street.shield).await.status, 200, "{host}{path}");
    }
    fail(&street, &release);
    for hours in 0..24 {
        street.clock.advance(DAY / 24);
        assert!(street.shield.refresh().await.failing, "{hours}");
        for (host, path) in visits {
            let seen = get(host, path).of(&street.shield).await;
            assert_eq!(seen.status, 200, "{host}{path} after {hours} hours");
            assert!(seen.header("cache-status").starts_with("awning; hit"), "{seen:?}");
        }
        assert!(street.shield.readiness().ready);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_returns_is_seen_within_a_second() {
    let release = release();
    let street = Street::unpublished(1 << 20);
    release.publish(&street.origin, 1).await;
    fail(&street, &release);
    let shutdown = CancellationToken::new();
    let watching = Arc::clone(&street.shield).watch(EVERY, shutdown.clone());
    let watching = tokio::spawn(watching);
    street.origin.asked(60).await;
    assert!(!street.shield.readiness().ready);
    assert_eq!(get(SITE, "/").of(&street.shield).await.status, 503);

    street.origin.recover(&head());
    let (returned, so_far) = (Instant::now(), street.origin.gets(&head()));
    // The head and the manifest.
    street.origin.asked(so_far + 2).await;
    while !street.shield.readiness().ready {
        tokio::task::yield_now().await;
    }
    assert!(returned.elapsed() <= Duration::from_secs(1), "{:?}", returned.elapsed());
    shutdown.cancel();
    watching.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_well_is_not_asked_more_often_for_a_channel_without_release() {
    let street = Street::unpublished(1 << 20);
    let shutdown = CancellationToken::new();
    let began = Instant::now();
    let watching = tokio::spawn(Arc::clone(&street.shield).watch(EVERY, shutdown.clone()));
    street.origin.asked(11).await;
    assert!(began.elapsed() >= EVERY * 8, "{:?}", began.elapsed());
    assert!(began.elapsed() <= EVERY * 10, "{:?}", began.elapsed());
    shutdown.cancel();
    watching.await.unwrap();
}
