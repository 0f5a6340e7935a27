"""Prints rows as JSON, in the order of ids and times: `arrow FOLDER` all that there are, `feast FOLDER` what there was
of each id at each time, as read from stdin."""

import json
import sys

import pyarrow as pa
import pyarrow.dataset


def arrow(folder):
    return pa.dataset.dataset(f"{folder}/predictions", partitioning="hive").to_table()


def feast(folder):
    import pandas
    from feast import FeatureStore

    store = FeatureStore(repo_path=folder)
    fields = store.get_feature_view("prediction_features").features
    ids, times = zip(*json.load(sys.stdin))
    times = pandas.to_datetime(times, unit="us", utc=True)
    asked = pandas.DataFrame({"prediction_id": ids, "event_timestamp": times})
    features = [f"prediction_features:{field.name}" for field in fields]
    read = store.get_historical_features(asked, features).to_arrow()
    # Not pandas's own index.
    return read.select([*asked.columns, *(field.name for field in fields)])


table = {"arrow": arrow, "feast": feast}[sys.argv[1]](sys.argv[2])
time = table.schema.get_field_index("event_timestamp")
micros = table["event_timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
rows = table.set_column(time, "event_timestamp", micros).to_pylist()
rows.sort(key=lambda row: (row["prediction_id"], row["event_timestamp"]))
json.dump(rows, sys.stdout)
