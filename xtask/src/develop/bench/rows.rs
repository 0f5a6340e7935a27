//! [`Row`]: one server asked in one way, and the best that was seen of it.

use std::path::Path;

use anyhow::Context;

use super::subject::Subject;
use super::wrk::{self, Figures, Load};
use crate::report::data;

pub(super) struct Row<'a> {
    name: &'static str,
    subject: &'a Subject,
    path: &'static str,
    content_type: &'static str,
    body: &'a Path,
    cores: &'static str,
    /// The server counts its computations.
    is_counted: bool,
    best: Option<Measured>,
    /// Processor time of the server for one request in its cheapest round, in microseconds.
    cost: f64,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    figures: Figures,
    /// Images per computation.
    batch: Option<f64>,
    /// Bytes in RAM afterwards.
    resident: u64,
}

impl<'a> Row<'a> {
    pub(super) fn new(
        name: &'static str,
        subject: &'a Subject,
        (content_type, body): (&'static str, &'a Path),
    ) -> Self {
        let (path, cores) = ("/v1/predict", super::serve::LOAD);
        Self {
            name,
            subject,
            path,
            content_type,
            body,
            cores,
            is_counted: false,
            best: None,
            cost: f64::INFINITY,
        }
    }

    pub(super) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    pub(super) fn counted(self) -> Self {
        Self { is_counted: true, ..self }
    }

    pub(super) fn asked_from(self, cores: &'static str) -> Self {
        Self { cores, ..self }
    }

    pub(super) fn measure(
        &mut self,
        folder: &Path,
        connections: u32,
        seconds: u32,
    ) -> anyhow::Result<()> {
        let load = Load {
            url: self.subject.url(self.path),
            body: self.body,
            content_type: self.content_type,
            connections,
            seconds,
        };
        let count = || self.is_counted.then(|| self.subject.batches()).transpose();
        let before = count()?;
        let begun = self.subject.processor_time()?;
        let figures = wrk::run(folder, self.cores, &load)?;
        let taken = self.subject.processor_time()? - begun;
        self.cost = self.cost.min(taken / figures.requests as f64);
        let batch = before.zip(count()?).map(|(before, after)| {
            let (images, computations) = (after.0 - before.0, after.1 - before.1);
            images / computations
        });
        let measured = Measured { figures, batch, resident: self.subject.resident()? };
        let is_better = |best: Measured| figures.per_second() > best.figures.per_second();
        if self.best.is_none_or(is_better) {
            self.best = Some(measured);
        }
        Ok(())
    }

    pub(super) fn rate(&self) -> anyhow::Result<f64> {
        Ok(self.best()?.figures.per_second())
    }

    pub(super) fn cost(&self) -> f64 {
        self.cost
    }

    /// Images per computation, to the next whole one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    pub(super) fn batch(&self) -> usize {
        let batch = self.best.and_then(|best| best.batch).unwrap_or(1.0);
        batch.round().max(1.0) as usize
    }

    /// How near it comes to what its parts allow, where a forward pass takes so many microseconds.
    pub(super) fn print_limit(&self, forward: f64, echo: &Row<'_>) -> anyhow::Result<()> {
        let share = |bare: f64, ours: f64| 100.0 * (forward + bare) / ours;
        data(format_args!(
            "{}: forward {forward:.1} µs at batch {}, bare poem {:.1} µs of processor time: {:.0} % of the limit reached, {:.0} % by the clock",
            self.name,
            self.batch(),
            echo.cost,
            share(echo.cost, self.cost),
            share(1e6 / echo.rate()?, 1e6 / self.rate()?),
        ));
        Ok(())
    }

    fn best(&self) -> anyhow::Result<Measured> {
        self.best.with_context(|| format!("`{}` was not measured", self.name))
    }
}

pub(super) fn print(rows: &[Row<'_>]) -> anyhow::Result<()> {
    data(format_args!(
        "{:<20}{:>8}{:>9}{:>9}{:>8}{:>7}{:>8}{:>8}",
        "", "req/s", "p50 ms", "p99 ms", "failed", "batch", "CPU µs", "RSS MB"
    ));
    for row in rows {
        let Measured { figures, batch, resident } = row.best()?;
        let batch = batch.map_or_else(|| "-".to_owned(), |batch| format!("{batch:.1}"));
        data(format_args!(
            "{:<20}{:>8.0}{:>9.2}{:>9.2}{:>8}{batch:>7}{:>8.1}{:>8.0}",
            row.name,
            figures.per_second(),
            figures.p50 / 1e3,
            figures.p99 / 1e3,
            figures.failed,
            row.cost,
            resident as f64 / 1e6,
        ));
    }
    Ok(())
}
