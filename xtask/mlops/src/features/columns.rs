//! [`COLUMNS`]: what there is of a prediction, once, for the files and for Feast's definition of them.

use parquet::data_type::ByteArray;

use super::row::Row;

pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) values: Values,
    /// For Feast's users.
    pub(super) meaning: &'static str,
}

/// How a column's value is taken from a row.
pub(super) enum Values {
    Text(fn(&Row) -> ByteArray),
    Whole(fn(&Row) -> i64),
    /// Microseconds since 1970, UTC.
    Time(fn(&Row) -> i64),
    Real(fn(&Row) -> f32),
}

use Values::{Real, Text, Time, Whole};

/// What Feast finds a prediction by.
pub(super) const KEY: &str = "prediction_id";
/// Of which Feast takes the newest before the time that it is asked for.
pub(super) const TIME: &str = "event_timestamp";
/// Few values, so that a dictionary of them is small.
pub(super) const MODEL: &str = "model_version";

pub(super) const COLUMNS: [Column; 13] = [
    Column { name: KEY, values: Text(Row::key), meaning: "request_id/image" },
    Column { name: TIME, values: Time(|row| row.at.as_microsecond()), meaning: "of the answer" },
    Column {
        name: "request_id",
        values: Text(|row| row.request_id.clone()),
        meaning: "of the request",
    },
    Column {
        name: "image",
        values: Whole(|row| row.image),
        meaning: "which of its images, from 0",
    },
    Column { name: "ink", values: Real(|row| row.features.ink), meaning: "mean pixel, 0 to 1" },
    Column {
        name: "bbox",
        values: Real(|row| row.features.bbox),
        meaning: "box around the foreground, as a share of the picture",
    },
    Column {
        name: "entropy",
        values: Real(|row| row.features.entropy),
        meaning: "of the grey levels, in bits, 0 to 4",
    },
    Column { name: "label", values: Whole(|row| row.label), meaning: "class that was answered" },
    Column {
        name: "confidence",
        values: Real(|row| row.confidence),
        meaning: "probability of that class, 0 to 1",
    },
    Column {
        name: "margin",
        values: Real(|row| row.margin),
        meaning: "distance of the two likeliest classes, 0 to 1",
    },
    Column {
        name: "output_entropy",
        values: Real(|row| row.output_entropy),
        meaning: "of the probabilities, in nats",
    },
    Column {
        name: MODEL,
        values: Text(|row| row.model_version.clone()),
        meaning: "model that answered",
    },
    Column {
        name: "app_version",
        values: Text(|row| row.app_version.clone()),
        meaning: "service that answered",
    },
];

#[cfg(test)]
mod tests {
    use contract::baseline::SIGNALS;

    use super::*;

    #[test]
    fn what_drift_is_measured_on_is_called_as_there_and_no_name_is_there_twice() {
        let names = COLUMNS.map(|column| column.name);
        for signal in SIGNALS.into_iter().filter(|signal| *signal != "class") {
            assert!(names.contains(&signal), "{signal}");
        }
        let mut once = names.to_vec();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len());
    }
}
