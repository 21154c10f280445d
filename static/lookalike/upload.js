// Ask with a picture: chosen, dropped, pasted or by address; with a preview, progress and a way to stop.
// The bytes are sent as they are.

export function startUpload(form, addressForm) {
  const ask = form.closest("[data-ask]");
  const veil = document.querySelector("[data-veil]");
  const place = ask || veil; // where progress and refusals are shown
  const progress = place.querySelector("[data-progress]");
  const refusal = place.querySelector("[data-error]");
  const invite = place.querySelector("[data-invite]");
  let request = null;
  let shownPicture = "";

  function show(said, file) {
    refusal.hidden = true;
    progress.hidden = false;
    if (veil) {
      veil.hidden = false;
      invite.hidden = true;
    }
    progress.querySelector("[role=status]").textContent = said;
    const bar = progress.querySelector("progress");
    bar.hidden = !file;
    bar.value = 0;
    const image = progress.querySelector("img");
    image.hidden = true;
    if (!file) return;
    shownPicture = URL.createObjectURL(file);
    image.onload = () => (image.hidden = false); // a format the browser cannot show stays hidden
    image.src = shownPicture;
  }

  function reset() {
    URL.revokeObjectURL(shownPicture);
    progress.hidden = true;
    request = null;
    for (const input of form.querySelectorAll("input[type=file]")) input.value = "";
  }

  function refuse(said) {
    reset();
    refusal.querySelector("p").textContent = said;
    refusal.hidden = false;
    if (veil) {
      veil.hidden = false;
      invite.hidden = true;
      refusal.querySelector("[data-close]").focus();
    }
  }

  function close() {
    request?.abort();
    reset();
    if (veil) veil.hidden = true;
  }

  function send(data, file) {
    close();
    show(file ? form.dataset.sending : form.dataset.fetching, file);
    data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    request = new XMLHttpRequest(); // fetch() does not tell how much has been sent
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      const bar = progress.querySelector("progress");
      if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
      if (event.loaded === event.total) progress.querySelector("[role=status]").textContent = form.dataset.searching;
    };
    request.onerror = () => refuse(form.dataset.lost);
    request.onload = (event) => {
      const answer = event.target.response;
      if (answer?.url) location.assign(answer.url);
      else refuse(answer?.error?.message || form.dataset.lost);
    };
    request.send(data);
  }

  function sendFile(file) {
    if (file.size > Number(form.dataset.most)) {
      refuse(form.dataset.large);
      return;
    }
    const data = new FormData();
    data.set("file", file, file.name || "picture");
    send(data, file);
  }

  function sendAddress(address) {
    const data = new FormData();
    data.set("url", address);
    if (addressForm) addressForm.elements.url.value = address;
    send(data, null);
  }

  form.addEventListener("change", (event) => event.target.files?.[0] && sendFile(event.target.files[0]));
  form.addEventListener("submit", (event) => event.preventDefault());
  progress.querySelector("[data-cancel]").addEventListener("click", close);
  refusal.querySelector("[data-close]")?.addEventListener("click", close);
  addEventListener("keydown", (event) => event.key === "Escape" && (request || veil?.hidden === false) && close());
  addEventListener("pageshow", (event) => event.persisted && close()); // 'back' from the results
  addressForm?.addEventListener("submit", (event) => {
    event.preventDefault();
    const address = addressForm.elements.url.value.trim();
    if (address) sendAddress(address);
  });

  startDrop(sendFile, sendAddress, veil, invite, refusal, () => request !== null);
  startPaste(sendFile, sendAddress);
}

function startDrop(sendFile, sendAddress, veil, invite, refusal, busy) {
  const carries = (event) => [...(event.dataTransfer?.types || [])].some((type) => type === "Files" || type === "text/uri-list");
  let ours = false; // a picture of this very page being dragged is not an upload
  let leaving = 0;
  const mark = (on) => {
    document.documentElement.classList.toggle("dragging", on);
    if (!veil || busy()) return;
    veil.hidden = !on;
    invite.hidden = false;
    refusal.hidden = true;
  };
  addEventListener("dragstart", () => (ours = true));
  addEventListener("dragend", () => (ours = false));
  addEventListener("dragover", (event) => {
    if (ours || !carries(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    clearTimeout(leaving);
    mark(true);
  });
  addEventListener("dragleave", () => {
    clearTimeout(leaving);
    leaving = setTimeout(mark, 120, false); // dragover says the same again as long as one is still here
  });
  addEventListener("drop", (event) => {
    if (ours || !carries(event)) return;
    event.preventDefault();
    clearTimeout(leaving);
    mark(false);
    const file = event.dataTransfer.files[0];
    const address = event.dataTransfer.getData("text/uri-list").split("\n").find((line) => /^https?:/.test(line));
    if (file) sendFile(file);
    else if (address) sendAddress(address.trim());
  });
}

function startPaste(sendFile, sendAddress) {
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])][0];
    if (file) {
      event.preventDefault();
      sendFile(file);
    } else if (!event.target.closest?.("input, textarea")) {
      const text = event.clipboardData?.getData("text").trim() || "";
      if (/^https?:\/\/\S+$/.test(text)) sendAddress(text);
    }
  });
}
