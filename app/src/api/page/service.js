// What the page asks of the service, and nothing else is asked of anybody.

import { credentials } from "./key.js";

/** A problem after RFC 9457. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? `The service answered ${status}`);
    this.code = problem.code;
    /** Whether another key might open. */
    this.needsKey = status === 401 || status === 403;
    /** Seconds after which it is worth another try; NaN where it is not. */
    this.retryAfter = retryAfter;
  }
}

async function ask(path, request) {
  const headers = { ...credentials(), ...request?.headers };
  const response = await fetch(path, { cache: "no-store", ...request, headers });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem, Number.parseInt(response.headers.get("retry-after")));
}

/** Name, version, input shape and classes of what is served. */
export async function model() {
  return (await ask("v1/model")).json();
}

/** What the model sees in a PNG or JPEG, with the array that it saw and how long it took. */
export async function predict(picture) {
  const started = performance.now();
  const response = await ask("v1/predict?image=true", { method: "POST", body: picture });
  const answer = await response.json();
  const ms = performance.now() - started;
  const stages = response.headers.get("server-timing") ?? "";
  return { ...answer, ms, inferMs: Number(stages.match(/infer;dur=([\d.]+)/)?.[1]) };
}

/** Sends the true class of the picture whose answer came with that receipt. */
export async function feedback(receipt, label) {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ receipt, label }),
  };
  return (await ask("v1/feedback", request)).json();
}
