// Talking to the API on the same origin.

const root = "/api/v1/";

/** ask fetches JSON and turns a problem document into an error. */
async function ask(method, path, body) {
  const init = { method, headers: { Accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const answer = await fetch(root + path, init);
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("Log in again.");
  }
  let data;
  try {
    data = await answer.json();
  } catch {
    throw new Error("The console answered " + answer.status + " without a reason.");
  }
  if (!answer.ok) throw new Error(data.detail || data.title || "The console answered " + answer.status + ".");
  return data;
}

export const get = (path) => ask("GET", path);

/** send does a write that is answered at once. */
export const send = (method, path, body) => ask(method, path, body);

/** write posts a command and waits until the enforcer has answered, up to ten
 * seconds after the server stopped waiting. */
export async function write(method, path, body) {
  let c = await ask(method, path, body);
  for (let i = 0; !c.done && i < 10; i++) {
    await new Promise((wake) => setTimeout(wake, 1000));
    c = await get("commands/" + c.id);
  }
  if (c.failed) throw new Error(c.result);
  return c;
}

/** params builds a query string of what is given. */
export function params(values) {
  const p = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v) p.set(k, v);
  return p.toString();
}

/** stream keeps a live stream open. on.open runs after each (re)connection, when
 * the lists should be read; the other keys are event names. */
export function stream(on) {
  let wait = 1000;
  let source;
  window.addEventListener("pagehide", () => source.close());
  const connect = () => {
    source = new EventSource(root + "events");
    source.onopen = () => {
      wait = 1000;
      on.open();
    };
    for (const name of ["status", "finding", "decision", "backtest", "resync", "trouble"]) {
      source.addEventListener(name, (e) => on[name](JSON.parse(e.data)));
    }
    source.onerror = () => {
      source.close();
      on.lost();
      setTimeout(connect, wait);
      wait = Math.min(wait * 2, 15000);
    };
  };
  connect();
}
