use std::sync::mpsc;
use std::time::Duration;

use contract::image::Shape;

use super::*;

const SHAPE: Shape = Shape { height: 1, width: 1, channels: 1 };

fn image(value: u8) -> Image {
    Image::new(SHAPE, [value]).unwrap()
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
    Gated { engine: Arc::new(Engine::start(options, classify, |_| {}).unwrap()), started, gate }
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
    let Gated { engine, started, gate } = gated(Options { depth: 16, max_batch: 8 });
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
    let Gated { engine, started, gate } = gated(Options { depth: 16, max_batch: 3 });
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
    let Gated { engine, started, gate } = gated(Options { depth: 10, max_batch: 5 });
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
    let Gated { engine, started, gate } = gated(Options { depth: 10, max_batch: 5 });
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
    assert!(worker::still_wanted(job).is_none());
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
    let engine = Engine::start(Options { depth: 4, max_batch: 1 }, classify, |_| {}).unwrap();
    for (value, reason) in [(1, "no memory"), (2, "index out of bounds"), (3, "0 scores for 1")] {
        match engine.classify(vec![image(value)], soon()).await {
            Err(EngineError::Failed(text)) => assert!(text.contains(reason), "{text}"),
            other => panic!("{other:?}"),
        }
        let computed = engine.classify(vec![image(255)], soon()).await.unwrap();
        assert_eq!(computed.scores, [scores(&image(255))]);
    }
    assert!(engine.is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_finished_before_the_engine_ends() {
    let Gated { engine, started, gate } = gated(Options { depth: 4, max_batch: 1 });
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

#[test]
fn a_thread_that_ends_leaves_nobody_waiting() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let observe = |_| panic!("outside of the computation");
    let engine = Engine::start(Options { depth: 4, max_batch: 1 }, classify, observe).unwrap();
    let answer = runtime.block_on(engine.classify(vec![image(0)], soon()));
    assert_eq!(answer, Err(EngineError::Closed));
    // The caller may be told a moment before the thread has ended.
    while engine.is_open() {
        std::thread::yield_now();
    }
}
