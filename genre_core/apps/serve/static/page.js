"use strict";
// Every text goes in by textContent: a file's name and a model's genres are never taken for HTML.

const at = (id) => document.getElementById(id);
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
let about = { megabytes: 60, seconds: 900, live_seconds: 10 };

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(where, title, text, wrong = false) {
  where.classList.toggle("wrong", wrong);
  where.replaceChildren(element("strong", title), element("p", text, "quiet"));
}

function bars(where, probabilities, count) {
  const rows = Object.entries(probabilities ?? {}).slice(0, count).map(([genre, share]) => {
    const row = element("li");
    const meter = element("meter");
    meter.value = share;
    meter.setAttribute("aria-label", genre);
    const name = element("span", genre, "name");
    name.title = genre;
    row.append(name, meter, element("span", `${Math.round(100 * share)}%`, "share"));
    return row;
  });
  where.replaceChildren(...rows);
}

function picture(where, url, name) {
  where.replaceChildren();
  if (!url) return;
  const image = element("img");
  image.src = url;
  image.alt = name;
  const link = element("a", "download");
  link.href = url;
  link.download = `${name}.png`;
  where.append(image, link);
}

// --- a file -------------------------------------------------------------------------------------------------------------

let asked = 0; // an answer that comes after a newer question is not shown

async function ask(blob, name) {
  const question = ++asked;
  const note = at("note");
  say(note, "Listening ...", name);
  bars(at("genres"), {}, 5);
  at("pictures").hidden = true;
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
      say(note, "Busy", `other files are waiting; trying again in ${seconds} s`);
      await wait(seconds);
    }
    const found = await answer.json();
    if (question !== asked) return;
    if (!answer.ok) {
      say(note, "Could not be used", found.error, true);
      return;
    }
    const text = `${name}, ${found.seconds.toFixed(0)} s.`;
    if (found.sure) say(note, found.genre, text);
    else say(note, "Not sure", `Perhaps ${found.genre}, but more likely wrong than right. ${text}`);
    bars(at("genres"), found.probabilities, 5);
    picture(at("timeline"), found.pictures.timeline, "genres over the track");
    picture(at("carried"), found.pictures.carried, "what carried the decision");
    at("pictures").hidden = false;
  } catch (error) {
    if (question === asked) say(note, "No answer", `The server cannot be reached (${error.message}). Is it still running?`, true);
  }
}

const drop = at("drop");
const input = drop.querySelector("input");
input.addEventListener("change", () => {
  if (input.files.length) ask(input.files[0], input.files[0].name);
  input.value = ""; // the same file may be chosen again
});
for (const type of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop" && event.dataTransfer.files.length) ask(event.dataTransfer.files[0], event.dataTransfer.files[0].name);
  });
}

// --- the microphone -----------------------------------------------------------------------------------------------------

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

async function microphone(heard) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext();
  await context.audioWorklet.addModule("/samples.js");
  const node = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
  node.port.onmessage = (event) => heard(event.data);
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
        const end = running;
        running = null;
        end();
      } else {
        running = await start();
      }
    } catch (error) {
      say(note, "No microphone", `${error.message}. Allow it in the browser; it needs http://localhost or https.`, true);
    }
    button.disabled = false;
    button.textContent = running ? on : off;
    button.classList.toggle("on", Boolean(running));
  });
}

toggle(at("record"), "Stop, and ask", at("record").textContent, at("note"), async () => {
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
      const began = performance.now();
      const seconds = (total / source.rate).toFixed(1);
      try {
        const answer = await fetch(`/api/live?rate=${source.rate}`, { method: "POST", body: sixteenBits(blocks) });
        const found = await answer.json();
        if (!on) break;
        if (answer.status === 503) say(note, "Busy", "other requests are served first");
        else if (!answer.ok) say(note, "Could not be used", found.error, true);
        else if (!found.genre) say(note, "Listening ...", `${seconds} s heard`);
        else {
          const latency = Math.round(performance.now() - began);
          say(note, found.sure ? found.genre : "Not sure", `${seconds} s heard, ${latency} ms latency`);
          bars(at("live-genres"), found.probabilities, 3);
        }
      } catch (error) {
        say(note, "No answer", `The server cannot be reached (${error.message}). Is it still running?`, true);
      }
      await wait(Math.max(0.1, 0.5 - (performance.now() - began) / 1000));
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
  at("drop-limits").textContent = `any format, up to ${about.megabytes} MB and ${Math.round(about.seconds / 6) / 10} minutes`;
  at("live-seconds").textContent = about.live_seconds;
})();
