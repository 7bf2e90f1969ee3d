//! Known answers over HTTP: a few for each caller, and never the folder.

use std::{collections::BTreeSet, fs};

use inference::KnownAnswers;
use relay::{Relay, answers};
use tokio::net::TcpStream;

use crate::support::{Answer, Fixture, get, options, request, site};

const MODEL: &str = "abababababababababababababababababababababababababababababababab";
const OVERSIZED: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

/// A relay with a pool of this many answers, and a file that is longer than any may be.
async fn start(count: usize) -> Fixture {
    let folder = site();
    let pool = folder.path().join("data").join("known-answers");
    fs::create_dir_all(&pool).unwrap();
    let answers = (0..count)
        .map(|number| (format!("known text {number}"), vec![0.6, 0.8]))
        .collect();
    let json = KnownAnswers::new(answers).unwrap().to_json().unwrap();
    fs::write(pool.join(format!("{MODEL}.json")), json).unwrap();
    let oversized = fs::File::create(pool.join(format!("{OVERSIZED}.json"))).unwrap();
    oversized.set_len(1 << 40).unwrap();
    let relay = Relay::start(options(&folder, &[])).await.unwrap();
    Fixture { relay, folder }
}

fn read(answer: &Answer) -> KnownAnswers {
    assert_eq!(answer.status, 200, "{}", answer.text());
    KnownAnswers::from_json(&answer.body).unwrap()
}

#[tokio::test]
async fn each_caller_gets_a_few_at_random_and_no_cache_keeps_them() {
    let relay = start(1_000).await;
    let path = format!("/known-answers/{MODEL}");
    let answer = relay.get(&path, &[("origin", "https://other.example")]).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let mut draws = BTreeSet::new();
    let mut learnt = BTreeSet::new();
    for _ in 0..20 {
        let drawn: BTreeSet<String> = read(&relay.get(&path, &[]).await)
            .into_answers()
            .map(|(text, _)| text)
            .collect();
        assert_eq!(drawn.len(), answers::DRAW);
        learnt.extend(drawn.iter().cloned());
        draws.insert(drawn);
    }
    assert_eq!(draws.len(), 20);
    assert!(learnt.len() <= answers::SHELF, "{} of 1,000", learnt.len());
}

#[tokio::test]
async fn who_asks_too_often_is_told_so() {
    let relay = start(10).await;
    let path = format!("/known-answers/{MODEL}");
    let mut granted = 0;
    let refused = loop {
        let answer = relay.get(&path, &[]).await;
        if answer.status != 200 {
            break answer;
        }
        granted += 1;
        assert!(granted < 2 * answers::BURST, "it never ends");
    };
    assert_eq!(refused.status, 429);
    assert!(granted >= answers::BURST);
    assert_eq!(refused.header("retry-after"), Some("10"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(refused.text().contains("try again later"));
    assert_eq!(
        relay.get("/healthz", &[]).await.status,
        200,
        "only these are refused"
    );
}

#[tokio::test]
async fn there_is_no_way_to_the_files() {
    let relay = start(10).await;
    fs::write(relay.data("known-answers").join("secret.json"), "secret").unwrap();
    for path in [
        "/known-answers/".to_owned(),
        "/known-answers".to_owned(),
        format!("/known-answers/{}", "ef".repeat(32)),
        format!("/known-answers/{OVERSIZED}"),
        format!("/known-answers/{MODEL}.json"),
        format!("/known-answers/{MODEL}/x"),
        format!("/known-answers/../known-answers/{MODEL}.json"),
        format!("/../data/known-answers/{MODEL}.json"),
        format!("/data/known-answers/{MODEL}.json"),
        "/known-answers/..%2fidentity.key".to_owned(),
        "/known-answers/%ff".to_owned(),
        "/known-answers/secret".to_owned(),
        "/known-answers/secret.json".to_owned(),
    ] {
        let answer = relay.get(&path, &[]).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !answer.text().contains("known text") && !answer.text().contains("secret"),
            "{path}"
        );
    }
    let stream = TcpStream::connect(relay.relay.address()).await.unwrap();
    let path = format!("/known-answers/{MODEL}");
    assert_eq!(request(stream, "POST", &path, &[]).await.status, 405);
}

#[tokio::test]
async fn a_relay_without_a_pool_has_none() {
    let relay = Fixture::start(&[]).await;
    let answer = get(relay.relay.address(), &format!("/known-answers/{MODEL}"), &[]).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_pool_that_everyone_could_read_is_refused() {
    let folder = site();
    let within = folder.path().join("site").join("pool");
    for place in [within.clone(), folder.path().join("site").join("..").join("site")] {
        let refused = Relay::start(options(&folder, &["--known-answers", place.to_str().unwrap()])).await;
        let sentence = refused.unwrap_err().to_string();
        assert!(sentence.contains("--known-answers"), "{sentence}");
    }
    let outside = folder.path().join("pool");
    std::os::unix::fs::symlink(&within, &outside).unwrap();
    fs::create_dir(&within).unwrap();
    let refused = Relay::start(options(&folder, &["--known-answers", outside.to_str().unwrap()])).await;
    assert!(refused.is_err(), "a link leads there");
}
