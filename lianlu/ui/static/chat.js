"use strict";
// The chat box. The dialogue lives in this tab (a reload keeps it); the server remembers nothing.

function element(tag, kind, text) {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = text; // what a model writes is text, never markup
  return made;
}

function startChat(box) {
  const words = box.dataset;
  const log = box.querySelector(".talk");
  const form = box.querySelector("form");
  const field = form.querySelector("textarea");
  const store = "lianlu:" + words.url;
  let turns = JSON.parse(sessionStorage.getItem(store) || "[]");

  function show(event) {
    const heads = {
      user: words.you,
      tool_call: `${words.call} ${event.name || ""}`,
      tool_result: `${words.result} ${event.name || ""}`,
      error: words.error,
    };
    const line = element("div", event.type, "");
    line.append(element("span", "who", heads[event.type] || words.model));
    const body = element("bdi", "body", event.text);
    line.append(body);
    log.append(line);
    log.scrollTop = log.scrollHeight;
    return body;
  }

  function keep() {
    sessionStorage.setItem(store, JSON.stringify(turns));
  }

  function messages() {
    return turns
      .filter((event) => event.type === "user" || event.type === "answer")
      .map((event) => ({ role: event.type === "user" ? "user" : "assistant", content: event.text }));
  }

  function take(event, answer) {
    // Deltas grow one line; an `answer` replaces what they had built.
    if (event.type === "delta" || event.type === "answer") {
      if (!answer) {
        answer = { type: "answer", text: "" };
        answer.body = show(answer);
      }
      answer.text = event.type === "delta" ? answer.text + event.text : event.text;
      answer.body.textContent = answer.text;
      log.scrollTop = log.scrollHeight;
      return answer;
    }
    show(event);
    turns.push(event);
    return null;
  }

  async function send(text) {
    const said = { type: "user", text };
    turns.push(said);
    show(said);
    const reply = await fetch(words.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages: messages() }),
    });
    if (!reply.ok) throw new Error((await reply.json()).error);
    let answer = null;
    let rest = "";
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (rest + part.value).split("\n\n");
      rest = events.pop();
      for (const block of events) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (!data) continue;
        const before = answer;
        answer = take(JSON.parse(data.slice(6)), answer);
        // A call ends the text before it, which was no answer yet.
        if (before && !answer) turns.splice(-1, 0, { type: "assistant", text: before.text });
      }
    }
    if (answer) turns.push({ type: "answer", text: answer.text });
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    const button = form.querySelector(".primary");
    if (!text || button.disabled) return;
    field.value = "";
    button.disabled = true;
    log.setAttribute("aria-busy", "true");
    try {
      await send(text);
    } catch (error) {
      show({ type: "error", text: error.message });
    } finally {
      keep();
      button.disabled = false;
      log.removeAttribute("aria-busy");
      field.focus();
    }
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.querySelector(".clear").addEventListener("click", () => {
    turns = [];
    keep();
    log.replaceChildren();
    field.focus();
  });
  turns.forEach(show);
}

document.querySelectorAll(".chat").forEach(startChat);
