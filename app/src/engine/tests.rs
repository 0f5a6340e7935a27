use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::time::Duration;

use contract::image::Shape;

use super::*;

const SHAPE: Shape = Shape { height: 1, width: 1, channels: 1 };

fn image(value: u8) -> Image {
    Image::new(SHAPE, [value]).unwrap()
}

fn options(depth: usize, max_batch: usize) -> Options {
    Options { depth, max_batch, delay: Duration::ZERO, failures: 100 }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// The first class is certain for pixel 0, the second for pixel 255.
fn scores(image: &Image) -> Scores {
    let share = f32::from(image.pixels()[0]) / 255.0;
    Scores::new([1.0 - share, share]).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a classifier")]
fn classify(images: &[Image]) -> Result<Vec<Scores>, String> {
    Ok(images.iter().map(scores).collect())
}

/// An engine whose computations wait for a word from the test.
struct Gated {
    engine: Arc<Engine>,
    started: mpsc::Receiver<usize>,
    gate: mpsc::Sender<()>,
}

fn gated(options: Options) -> Gated {
    let (start, started) = mpsc::channel();
    let (gate, opened) = mpsc::channel();
    let classify = move |images: &[Image]| {
        start.send(images.len()).unwrap();
        opened.recv().unwrap();
        classify(images)
    };
    Gated { engine: Arc::new(Engine::start(options, [classify], |_| {}).unwrap()), started, gate }
}

/// Waits until `count` images are queued, by looking, as nothing else tells.
async fn until_waiting(engine: &Engine, count: usize) {
    while engine.waiting() != count {
        tokio::task::yield_now().await;
    }
}

fn submit(
    engine: &Arc<Engine>,
    images: Vec<Image>,
    deadline: Instant,
) -> tokio::task::JoinHandle<Result<Computed, EngineError>> {
    let engine = Arc::clone(engine);
    tokio::spawn(async move { engine.classify(images, deadline).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_gets_the_scores_of_its_own_images() {
    let Gated { engine, started, gate } = gated(options(16, 8));
    let first = submit(&engine, vec![image(1)], soon());
    assert_eq!(started.recv().unwrap(), 1);
    let second = submit(&engine, vec![image(2), image(3)], soon());
    until_waiting(&engine, 2).await;
    let third = submit(&engine, vec![image(4)], soon());
    until_waiting(&engine, 3).await;
    gate.send(()).unwrap();
    gate.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().scores, [scores(&image(1))]);
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.scores, [scores(&image(2)), scores(&image(3))]);
    assert_eq!(second.batch, 3);
    assert_eq!(third.await.unwrap().unwrap().scores, [scores(&image(4))]);
    assert_eq!(started.recv().unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_never_exceeds_its_maximum() {
    let Gated { engine, started, gate } = gated(options(16, 3));
    let mut calls = vec![submit(&engine, vec![image(0)], soon())];
    assert_eq!(started.recv().unwrap(), 1);
    for waiting in [2, 4, 6] {
        calls.push(submit(&engine, vec![image(0), image(0)], soon()));
        until_waiting(&engine, waiting).await;
    }
    for _ in 0..4 {
        gate.send(()).unwrap();
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(started.iter().take(3).collect::<Vec<_>>(), [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_load_it_can_take_is_refused_at_once_and_the_rest_answered() {
    let Gated { engine, started, gate } = gated(options(10, 5));
    let first = submit(&engine, vec![image(0)], soon());
    assert_eq!(started.recv().unwrap(), 1);
    let calls: Vec<_> = (0..100).map(|_| submit(&engine, vec![image(7)], soon())).collect();
    // All hundred have asked before the first answer makes room for another.
    while calls.iter().filter(|call| call.is_finished()).count() < 90 {
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.waiting(), 10);
    for _ in 0..3 {
        gate.send(()).unwrap();
    }
    let mut refused = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(computed) => assert_eq!(computed.scores, [scores(&image(7))]),
            Err(error) => {
                assert_eq!(error, EngineError::Full);
                refused += 1;
            }
        }
    }
    first.await.unwrap().unwrap();
    assert_eq!(refused, 90);
    assert_eq!(engine.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_computed_for_callers_who_are_late_or_gone() {
    let Gated { engine, started, gate } = gated(options(10, 5));
    let first = submit(&engine, vec![image(0)], soon());
    assert_eq!(started.recv().unwrap(), 1);
    let late = submit(&engine, vec![image(1)], Instant::now());
    assert_eq!(late.await.unwrap(), Err(EngineError::Late));
    let gone = submit(&engine, vec![image(2)], soon());
    until_waiting(&engine, 2).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    gate.send(()).unwrap();
    first.await.unwrap().unwrap();
    let last = submit(&engine, vec![image(3)], soon());
    gate.send(()).unwrap();
    last.await.unwrap().unwrap();
    assert_eq!(started.try_iter().collect::<Vec<_>>(), [1], "only the last was computed");
}

#[test]
fn a_caller_who_still_waits_past_the_deadline_is_told_without_a_computation() {
    let (reply, mut answer) = oneshot::channel();
    let now = Instant::now();
    let job = Job { images: vec![image(0)], deadline: now, queued: now, reply };
    assert!(worker::still_wanted(job, now).is_none());
    assert_eq!(answer.try_recv().unwrap(), Err(EngineError::Late));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computation_that_fails_or_panics_takes_only_its_own_callers_along() {
    let classify = |images: &[Image]| match images[0].pixels()[0] {
        1 => Err("no memory".to_owned()),
        2 => panic!("index out of bounds"),
        3 => Ok(Vec::new()),
        _ => classify(images),
    };
    let engine = Engine::start(options(4, 1), [classify], |_| {}).unwrap();
    for (value, reason) in [(1, "no memory"), (2, "index out of bounds"), (3, "0 scores for 1")] {
        match engine.classify(vec![image(value)], soon()).await {
            Err(EngineError::Failed(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{other:?}"),
        }
        let computed = engine.classify(vec![image(255)], soon()).await.unwrap();
        assert_eq!(computed.scores, [scores(&image(255))]);
    }
    assert!(engine.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_finished_before_the_engine_ends() {
    let Gated { engine, started, gate } = gated(options(4, 1));
    let calls: Vec<_> = (0..3).map(|_| submit(&engine, vec![image(0)], soon())).collect();
    assert_eq!(started.recv().unwrap(), 1);
    until_waiting(&engine, 2).await;
    engine.queue.close();
    assert_eq!(engine.classify(vec![image(0)], soon()).await, Err(EngineError::Closed));
    for _ in 0..3 {
        gate.send(()).unwrap();
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_outside_of_a_computation_fails_its_callers_and_the_thread_goes_on() {
    let first = AtomicBool::new(true);
    let observe = Arc::new(move |_| assert!(!first.swap(false, Ordering::SeqCst), "on purpose"));
    let engine = Engine::start(options(4, 1), [classify], move |batch| observe(batch)).unwrap();
    let answer = engine.classify(vec![image(0)], soon()).await;
    assert!(matches!(answer, Err(EngineError::Failed(_))), "{answer:?}");
    engine.classify(vec![image(0)], soon()).await.unwrap();
    assert!(engine.is_alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_batches_are_computed_at_a_time_as_there_are_classifiers() {
    let together = Arc::new(Barrier::new(2));
    let classifiers = [Arc::clone(&together), together].map(|together| {
        move |images: &[Image]| {
            together.wait();
            classify(images)
        }
    });
    let engine = Arc::new(Engine::start(options(4, 1), classifiers, |_| {}).unwrap());
    let calls = [1, 2].map(|value| submit(&engine, vec![image(value)], soon()));
    for (call, value) in calls.into_iter().zip([1, 2]) {
        assert_eq!(call.await.unwrap().unwrap().scores, [scores(&image(value))]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_failures_refuses_what_follows_uncomputed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let classify = move |_: &[Image]| {
        count.fetch_add(1, Ordering::SeqCst);
        Err("no memory")
    };
    let engine =
        Engine::start(Options { failures: 3, ..options(4, 1) }, [classify], |_| {}).unwrap();
    for _ in 0..3 {
        let answer = engine.classify(vec![image(0)], soon()).await;
        assert!(matches!(answer, Err(EngineError::Failed(_))), "{answer:?}");
    }
    assert!(engine.is_broken() && engine.is_alive());
    assert_eq!(engine.classify(vec![image(0)], soon()).await, Err(EngineError::Broken));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// Puts requests of so many images each into a queue and takes them: images taken, and why then.
fn released(requests: &[usize], max: usize, delay: Duration, closed: bool) -> (usize, Released) {
    let queue = Queue::new(100);
    for &count in requests {
        let (reply, _) = oneshot::channel();
        let images = vec![image(0); count];
        queue.push(Job { images, deadline: soon(), queued: Instant::now(), reply }).unwrap();
    }
    if closed {
        queue.close();
    }
    let (jobs, released) = queue.take(max, delay).unwrap();
    (jobs.iter().map(|job| job.images.len()).sum(), released)
}

#[test]
fn a_batch_says_why_it_was_released() {
    let (none, short, long) = (Duration::ZERO, Duration::from_millis(1), Duration::from_hours(1));
    assert_eq!(released(&[1, 1], 4, none, false), (2, Released::Drained));
    assert_eq!(released(&[2, 2], 4, none, false), (4, Released::Full));
    assert_eq!(released(&[2, 3], 4, none, false), (2, Released::Full));
    assert_eq!(released(&[1, 1], 4, short, false), (2, Released::Delay));
    assert_eq!(released(&[2, 2], 4, long, false), (4, Released::Full));
    assert_eq!(released(&[1, 1], 4, long, true), (2, Released::Drained), "the end does not wait");
}
