"""What MLflow's own client reads of an experiment and of a registered model, for the tests of `track`.

Asked by lines of JSON on stdin, `{"experiment": …, "model": …}`, each answered by one on stdout.
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import mlflow
from mlflow.entities import ViewType


def digests(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def downloaded(uri: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        return digests(pathlib.Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)))


def told(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> dict:
    def history(key: str) -> list:
        points = client.get_metric_history(run.info.run_id, key)
        return sorted([point.step, str(point.value), point.timestamp] for point in points)

    return {
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "deleted": run.info.lifecycle_stage == "deleted",
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": {key: history(key) for key in run.data.metrics},
        "data": [
            {
                "name": given.dataset.name,
                "digest": given.dataset.digest,
                "profile": json.loads(given.dataset.profile),
                "context": {tag.key: tag.value for tag in given.tags}["mlflow.data.context"],
            }
            for given in run.inputs.dataset_inputs
        ],
        "artifacts": downloaded(run.info.artifact_uri) if client.list_artifacts(run.info.run_id) else {},
    }


def asked(client: mlflow.MlflowClient, experiment: str | None, model: str | None) -> dict:
    answer = {}
    if experiment:
        found = client.get_experiment_by_name(experiment)
        runs = client.search_runs([found.experiment_id], run_view_type=ViewType.ALL) if found else []
        answer["runs"] = [told(client, run) for run in sorted(runs, key=lambda run: run.info.start_time)]
    if model:
        versions = client.search_model_versions(f"name='{model}'")
        answer["versions"] = sorted(int(version.version) for version in versions)
        aliases = client.get_registered_model(model).aliases
        answer["aliases"] = {alias: downloaded(f"models:/{model}@{alias}") for alias in aliases}
    return answer


def main() -> None:
    client = mlflow.MlflowClient()
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(asked(client, question.get("experiment"), question.get("model"))), flush=True)


if __name__ == "__main__":
    main()
