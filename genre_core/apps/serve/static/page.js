"use strict";
// All text is set with textContent, so a file name or a genre is never interpreted as HTML.

const at = (id) => document.getElementById(id);
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
let about = { megabytes: 60, seconds: 900, live_seconds: 10 };

function element(tag, text, className) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function say(target, title, text, wrong = false) {
  target.classList.toggle("wrong", wrong);
  target.replaceChildren(element("strong", title), element("p", text, "quiet"));
}

// Genres of which one is right with a promised probability; empty if this adds nothing to the answer.
function promise(result) {
  const genres = result.prediction_set;
  if (genres.length < 2 || genres.length === Object.keys(result.probabilities).length) return "";
  const share = Number((100 * result.coverage).toPrecision(3));
  return `${genres.slice(0, -1).join(", ")} or ${genres.at(-1)}: ${share} % sure that one of them is right.`;
}

const percent = (share) => `${Math.round(100 * share)}%`;

function bars(target, shares, count, shown = percent) {
  const rows = Object.entries(shares ?? {}).slice(0, count).map(([genre, share]) => {
    const row = element("li");
    const meter = element("meter");
    meter.value = share;
    meter.setAttribute("aria-label", genre);
    const name = element("span", genre, "name");
    name.title = genre;
    row.append(name, meter, element("span", shown(share), "share"));
    return row;
  });
  target.replaceChildren(...rows);
}

function similar(tracks) {
  const rows = tracks.map((track) => {
    const row = element("li", track.file);
    row.append(element("span", `${track.artist ? ` ${track.artist},` : ""} ${track.similarity.toFixed(2)}`, "quiet"));
    return row;
  });
  at("nearest").replaceChildren(...rows);
  at("similar").hidden = !rows.length;
}

function tags(values) {
  at("tags-title").hidden = !Object.keys(values ?? {}).length;
  bars(at("tags"), values, 5, (value) => value.toFixed(2)); // no percent sign: these are no probabilities
}

function picture(target, url, name) {
  target.replaceChildren();
  if (!url) return;
  const image = element("img");
  image.src = url;
  image.alt = name;
  const link = element("a", "download");
  link.href = url;
  link.download = `${name}.png`;
  target.append(image, link);
}

// --- file -------------------------------------------------------------------------------------------------------------

let latestRequest = 0; // number of the latest request: answers to older requests are not shown

async function ask(blob, name) {
  const requestNumber = ++latestRequest;
  const note = at("note");
  say(note, "Predicting ...", name);
  bars(at("genres"), {}, 5);
  tags({});
  at("pictures").hidden = true;
  similar([]);
  for (const id of ["timeline", "carried"]) picture(at(id), null);
  if (blob.size > about.megabytes * 1e6) {
    say(note, "Could not be used", `${name}: larger than ${about.megabytes} MB; cut it`, true);
    return;
  }
  try {
    let answer;
    for (let tries = 0; ; tries++) {
      answer = await fetch(`/api/predict?pictures=1&name=${encodeURIComponent(name)}`, { method: "POST", body: blob });
      if (answer.status !== 503 || tries === 10) break;
      const seconds = Number(answer.headers.get("Retry-After")) || 5;
      say(note, "Busy", `Other files are processed first. The page tries again in ${seconds} s.`);
      await wait(seconds);
    }
    const result = await answer.json();
    if (requestNumber !== latestRequest) return;
    if (!answer.ok) {
      say(note, "Could not be used", result.error, true);
      return;
    }
    const text = `${name}, ${result.seconds.toFixed(0)} s${result.damage ? `, ${result.damage}` : ""}.`;
    if (result.sure) say(note, result.genre, text);
    else say(note, "Not sure", `Perhaps ${result.genre}, but this is more likely wrong than right. ${text}`);
    if (promise(result)) note.append(element("p", promise(result)));
    bars(at("genres"), result.probabilities, 5);
    similar(result.nearest);
    tags(result.tags);
    picture(at("timeline"), result.pictures.timeline, "genres over the track");
    picture(at("carried"), result.pictures.carried, "effect of each frequency band and moment");
    at("pictures").hidden = false;
  } catch (error) {
    if (requestNumber === latestRequest) say(note, "No answer", `The server cannot be reached (${error.message}). Is it still running?`, true);
  }
}

const drop = at("drop");
const input = drop.querySelector("input");
input.addEventListener("change", () => {
  if (input.files.length) ask(input.files[0], input.files[0].name);
  input.value = ""; // allows choosing the same file again
});
for (const type of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop" && event.dataTransfer.files.length) ask(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  });
}

// --- microphone -----------------------------------------------------------------------------------------------------

function sixteenBits(blocks) {
  const samples = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let position = 0;
  for (const block of blocks) {
    for (const value of block) samples[position++] = Math.max(-32768, Math.min(32767, Math.round(32768 * value)));
  }
  return samples;
}

function wav(blocks, rate) {
  const samples = sixteenBits(blocks);
  const header = new DataView(new ArrayBuffer(44));
  const text = (offset, value) => [...value].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + samples.byteLength, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, samples.byteLength, true);
  return new Blob([header, samples], { type: "audio/wav" });
}

async function microphone(onBlock) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("/samples.js");
  const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
  node.port.onmessage = (event) => onBlock(event.data);
  context.createMediaStreamSource(stream).connect(node);
  return {
    rate: context.sampleRate,
    stop() {
      stream.getTracks().forEach((track) => track.stop());
      context.close();
    },
  };
}

function toggle(button, on, off, note, start) {
  let running = null;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      if (running) {
        const stop = running;
        running = null;
        stop();
      } else {
        running = await start();
      }
    } catch (error) {
      say(note, "No microphone", `${error.message}. Allow the microphone in the browser. The page must be at http://localhost or https.`, true);
    }
    button.disabled = false;
    button.textContent = running ? on : off;
    button.classList.toggle("on", Boolean(running));
  });
}

toggle(at("record"), "Stop and predict", at("record").textContent, at("note"), async () => {
  const blocks = [];
  const source = await microphone((block) => blocks.push(block));
  say(at("note"), "Recording ...", "Play a few seconds of music.");
  return () => {
    source.stop();
    ask(wav(blocks, source.rate), "recording.wav");
  };
});

toggle(at("listen"), "Stop", at("listen").textContent, at("live-note"), async () => {
  const blocks = [];
  let total = 0;
  let kept = 0;
  let on = true;
  const note = at("live-note");
  const source = await microphone((block) => {
    blocks.push(block);
    total += block.length;
    kept += block.length;
    while (kept - blocks[0].length >= about.live_seconds * source.rate) kept -= blocks.shift().length;
  });
  say(note, "Listening ...", "");
  (async () => {
    while (on) {
      const startedMs = performance.now();
      const seconds = (total / source.rate).toFixed(1);
      try {
        const answer = await fetch(`/api/live?rate=${source.rate}`, { method: "POST", body: sixteenBits(blocks) });
        const result = await answer.json();
        if (!on) break;
        if (answer.status === 503) say(note, "Busy", "Other requests are processed first.");
        else if (!answer.ok) say(note, "Could not be used", result.error, true);
        else if (!result.genre) say(note, "Listening ...", `${seconds} s heard`);
        else {
          const latency = Math.round(performance.now() - startedMs);
          say(note, result.sure ? result.genre : "Not sure", `${seconds} s heard, ${latency} ms latency`);
          bars(at("live-genres"), result.probabilities, 3);
        }
      } catch (error) {
        say(note, "No answer", `The server cannot be reached (${error.message}). Is it still running?`, true);
      }
      await wait(Math.max(0.1, 0.5 - (performance.now() - startedMs) / 1000));
    }
  })();
  return () => {
    on = false;
    source.stop();
  };
});

// --- tabs ---------------------------------------------------------------------------------------------------------------

const tabs = [...document.querySelectorAll("[role=tab]")];
function show(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
    at(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
}

(async () => {
  about = await (await fetch("/api/about")).json();
  at("about").textContent = `${about.introduction}.`;
  at("drop-limits").textContent = `Any format, up to ${about.megabytes} MB and ${Math.round(about.seconds / 6) / 10} minutes`;
  at("live-seconds").textContent = about.live_seconds;
})();
