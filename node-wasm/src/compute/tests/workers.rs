//! When workers begin and end, and whose turn it is.

use std::future::Future;
use std::rc::Rc;

use computation::Limits;
use futures::future::{Either, join, select};
use gloo::timers::future::TimeoutFuture;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::compute::WAITING_MAX;
use crate::compute::turns::Turns;
use crate::platform;

#[test]
async fn a_deadline_ends_the_worker_and_the_next_run_has_a_new_one() {
    let computer = computer(60_000);
    echoes(&computer).await;
    let since = platform::monotone_ms();
    let fuel = Limits::default().fuel_max;
    let ended = run(&computer, ENDLESS, &[b""], fuel, Duration::from_millis(300)).await;
    assert_eq!(ended, Err(ComputeError::Timeout));
    let took_ms = platform::monotone_ms() - since;
    assert!((300.0..3_000.0).contains(&took_ms), "{took_ms} ms");
    assert!(!computer.is_running());
    echoes(&computer).await;
}

/// Lets something begin, and drops it before it is over.
async fn abandoned(work: impl Future) {
    let work = Box::pin(work);
    match select(work, TimeoutFuture::new(200)).await {
        Either::Left(_) => panic!("it is over already"),
        Either::Right(((), work)) => drop(work),
    }
}

#[test]
async fn a_caller_that_goes_away_leaves_nothing_that_computes() {
    let computer = computer(60_000);
    echoes(&computer).await;
    let fuel = Limits::default().fuel_max;
    abandoned(run(&computer, ENDLESS, &[b""], fuel, LONG)).await;
    assert!(!computer.is_running());
    echoes(&computer).await;
}

#[test]
async fn callers_wait_for_their_turn_and_those_who_leave_it_pass_it_on() {
    let computer = computer(60_000);
    echoes(&computer).await;
    join(echoes(&computer), echoes(&computer)).await;
    // The first is at work when the second gives up waiting and the third waits on.
    let busy = run(&computer, ENDLESS, &[b""], FUEL, LONG);
    let impatient = run(&computer, ECHO, &[b""], FUEL, Duration::from_millis(1));
    let (busy, (impatient, ())) = join(busy, join(impatient, echoes(&computer))).await;
    assert_eq!(*failure(&busy.unwrap()), Failure::OutOfFuel);
    assert_eq!(impatient, Err(ComputeError::Timeout));
}

#[test]
async fn too_many_callers_are_turned_away() {
    let turns = Rc::new(Turns::default());
    let until = platform::monotone_ms() + 60_000.0;
    let first = turns.take(until).await.unwrap();
    let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| Box::pin(turns.take(until))).collect();
    for waiter in &mut waiting {
        assert!(futures::poll!(waiter).is_pending());
    }
    assert_eq!(turns.take(until).await.err(), Some(ComputeError::Busy));
    // One leaves, and its place is free.
    drop(waiting.remove(0));
    let mut last = Box::pin(turns.take(until));
    assert!(futures::poll!(&mut last).is_pending());
    drop((first, waiting));
    drop(last.await.unwrap());
    drop(turns.take(until).await.unwrap());
}

#[test]
async fn an_idle_worker_ends() {
    let computer = computer(50);
    echoes(&computer).await;
    assert!(computer.is_running());
    TimeoutFuture::new(500).await;
    assert!(!computer.is_running());
    echoes(&computer).await;
    computer.end();
    assert!(!computer.is_running());
}

#[test]
async fn what_is_under_way_ends_with_the_worker() {
    let computer = computer(60_000);
    echoes(&computer).await;
    let fuel = Limits::default().fuel_max;
    let end = async {
        TimeoutFuture::new(200).await;
        computer.end();
    };
    let (ended, ()) = join(run(&computer, ENDLESS, &[b""], fuel, LONG), end).await;
    assert_eq!(ended, Err(ComputeError::Terminated));
    echoes(&computer).await;
}

#[test]
async fn a_worker_that_fails_or_speaks_out_of_turn_is_ended() {
    let broken = [
        (
            "export default () => { throw new Error('no such engine'); };",
            "no such engine",
        ),
        (
            "export default () => postMessage('hello');",
            "it said what nobody expected",
        ),
        // `Misunderstood`, where `Ready` is expected.
        (
            "export default () => postMessage(Uint8Array.of(0x82, 3, 0x80));",
            "it answered another question",
        ),
    ];
    for (body, expected) in broken {
        let computer = Computer::with_script("", &script(body), 60_000);
        match run(&computer, ECHO, &[b""], FUEL, LONG).await {
            Err(ComputeError::Crashed(reason)) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(!computer.is_running());
    }
}
