// One event stream for all tabs of a browser: the leader reads it and passes it on over a BroadcastChannel.
const BEAT = 4000; // ms between signs of life of the leader
const PATIENCE = 15000; // ms without one after which another tab leads; timers of hidden tabs are slow
const QUIET = 30000; // ms without a message after which the stream counts as lost; the page sends one every ten seconds

export function follow(url, { states, lost }) {
  const id = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  const channel = new BroadcastChannel(`asd ${url.pathname}`);
  let source = null;
  let led = 0; // time of the last sign of a leader
  let heard = Date.now();
  let newest = null;

  const take = (message) => {
    heard = Date.now();
    if (message.states) {
      newest = message.states;
      states(message.states);
    } else if (message.lost) {
      lost();
    }
  };
  const send = (message) => {
    channel.postMessage({ ...message, from: id });
    take(message);
  };
  const lead = () => {
    if (source) return;
    source = new EventSource(url);
    source.onmessage = (event) => send({ states: JSON.parse(event.data) });
    source.addEventListener("beat", () => send({ beat: true }));
    source.onerror = () => {
      send({ lost: true });
      if (source && source.readyState === EventSource.CLOSED) {
        // Refused: logged out, or too many streams. Asked again, but slowly.
        source = null;
        led = Date.now();
      }
    };
  };
  const stepDown = () => {
    source?.close();
    source = null;
  };

  channel.onmessage = ({ data }) => {
    if (data.ask) {
      if (source) {
        channel.postMessage({ beat: true, from: id });
        if (newest) channel.postMessage({ states: newest, from: id });
      }
      return;
    }
    if (data.bye) {
      led = 0;
      setTimeout(elect, Math.random() * 300);
      return;
    }
    led = Date.now();
    if (source && data.from < id) stepDown(); // two leaders: the older tab goes on
    take(data);
  };
  const elect = () => {
    if (!source && Date.now() - led > PATIENCE) lead();
  };
  channel.postMessage({ ask: true, from: id });
  setTimeout(elect, 250);
  setInterval(() => {
    if (source) channel.postMessage({ beat: true, from: id });
    else elect();
    if (Date.now() - heard > QUIET) lost();
  }, BEAT);
  addEventListener("pagehide", () => {
    if (source) channel.postMessage({ bye: true, from: id });
    stepDown();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) elect();
  });
}
