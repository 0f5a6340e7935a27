//! [`Part`]: one file of Parquet, written group by group and seen when it is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use contract::atomic::AtomicFile;
use fs_err::File;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::columns::{COLUMNS, Column, MODEL, Values};
use super::row::Row;

/// Rows that are kept until they are written together, so that memory is bounded.
const GROUP: usize = 16 << 10;

pub(super) struct Part {
    path: PathBuf,
    file: SerializedFileWriter<AtomicFile>,
    rows: Vec<Row>,
    /// Of them all.
    count: i64,
}

impl Part {
    /// Seen once it is closed.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let writing = || format!("writing {}", path.display());
        let file = AtomicFile::create(path).with_context(writing)?;
        let file = SerializedFileWriter::new(file, schema()?, Arc::new(properties()));
        let file = file.with_context(writing)?;
        Ok(Self { path: path.to_owned(), file, rows: Vec::new(), count: 0 })
    }

    pub(super) fn add(&mut self, row: Row) -> anyhow::Result<()> {
        self.rows.push(row);
        self.count += 1;
        if self.rows.len() == GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            write(&mut self.file, &self.rows)
                .with_context(|| format!("writing {}", self.path.display()))?;
            self.rows.clear();
        }
        Ok(())
    }

    /// A longer one that is there already is of the same log, later, and stays.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        self.flush()?;
        if rows_at(&self.path).is_some_and(|there| there > self.count) {
            return Ok(());
        }
        let writing = || format!("writing {}", self.path.display());
        self.file.into_inner().with_context(writing)?.commit().with_context(writing)
    }
}

/// Nothing where there is no such file, or none that can be read.
fn rows_at(path: &Path) -> Option<i64> {
    let file = File::open(path).ok()?.into_parts().0;
    Some(SerializedFileReader::new(file).ok()?.metadata().file_metadata().num_rows())
}

fn write(file: &mut SerializedFileWriter<AtomicFile>, rows: &[Row]) -> Result<()> {
    let mut group = file.next_row_group()?;
    for column in &COLUMNS {
        match column.values {
            Values::Text(of) => add::<ByteArrayType>(&mut group, rows, of)?,
            Values::Whole(of) | Values::Time(of) => add::<Int64Type>(&mut group, rows, of)?,
            Values::Real(of) => add::<FloatType>(&mut group, rows, of)?,
        }
    }
    group.close().map(drop)
}

fn add<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    rows: &[Row],
    of: fn(&Row) -> T::T,
) -> Result<()> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let values: Vec<T::T> = rows.iter().map(of).collect();
    column.typed::<T>().write_batch(&values, None, None)?;
    column.close()
}

fn schema() -> Result<TypePtr> {
    let columns = COLUMNS.iter().map(|column| field(column).map(Arc::new));
    let columns = columns.collect::<Result<_>>()?;
    Type::group_type_builder("prediction").with_fields(columns).build().map(Arc::new)
}

fn field(Column { name, values, .. }: &Column) -> Result<Type> {
    let (physical, logical) = match values {
        Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Values::Whole(_) => (Physical::INT64, None),
        Values::Time(_) => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Values::Real(_) => (Physical::FLOAT, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical)
        .build()
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Nearly every value of the others is another one.
        .set_dictionary_enabled(false)
        .set_column_dictionary_enabled(MODEL.into(), true)
        .set_column_dictionary_enabled("app_version".into(), true)
        .set_column_dictionary_enabled("label".into(), true)
        .build()
}
