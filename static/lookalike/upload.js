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
    for (const input of document.querySelectorAll("[data-upload] [type=file], [data-add-form] [type=file]")) input.value = "";
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

  // ``adding``: to the question of this page, rather than a new one.
  function send(data, file, adding) {
    close();
    show(file ? form.dataset.sending : form.dataset.fetching, file);
    data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    if (form.elements.collection) data.set("collection", form.elements.collection.value);
    if (adding) data.set("asked", location.search.slice(1));
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

  function sendFiles(files, adding = false) {
    if (files.length > Number(form.dataset.count)) return refuse(form.dataset.many);
    if (files.some((file) => file.size > Number(form.dataset.most))) return refuse(form.dataset.large);
    const data = new FormData();
    for (const file of files) data.append("file", file, file.name || "picture");
    send(data, files[0], adding);
  }

  function sendAddress(address, adding = false) {
    const data = new FormData();
    data.set("url", address);
    if (addressForm && !adding) addressForm.elements.url.value = address;
    send(data, null, adding);
  }

  form.addEventListener("change", (event) => event.target.files?.length && sendFiles([...event.target.files]));
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

  startAdd(sendFiles, sendAddress);
  startDrop(sendFiles, sendAddress, veil, invite, refusal, () => request !== null);
  startPaste(sendFiles, sendAddress);
}

// 'Add another picture': its form stands in a part of the page that is replaced by every search.
function startAdd(sendFiles, sendAddress) {
  document.addEventListener("change", (event) => {
    if (event.target.closest?.("[data-add-form]") && event.target.files?.length) sendFiles([...event.target.files], true);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-add-form]")) return;
    event.preventDefault();
    const address = event.target.elements.url.value.trim();
    if (address) sendAddress(address, true);
  });
}

const isOverAdd = (target) => Boolean(target.closest?.("[data-add-here], .asked"));

function startDrop(sendFiles, sendAddress, veil, invite, refusal, busy) {
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
    invite?.classList.toggle("adding", isOverAdd(event.target));
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
    const adding = isOverAdd(event.target);
    const files = [...event.dataTransfer.files];
    const address = event.dataTransfer.getData("text/uri-list").split("\n").find((line) => /^https?:/.test(line));
    if (files.length) sendFiles(files, adding);
    else if (address) sendAddress(address.trim(), adding);
  });
}

// While 'Add another picture' is open, what is pasted is added.
function startPaste(sendFiles, sendAddress) {
  addEventListener("paste", (event) => {
    const adding = document.querySelector("[data-add]")?.open === true;
    const files = [...(event.clipboardData?.files || [])];
    if (files.length) {
      event.preventDefault();
      sendFiles(files, adding);
    } else if (!event.target.closest?.("input, textarea")) {
      const text = event.clipboardData?.getData("text").trim() || "";
      if (/^https?:\/\/\S+$/.test(text)) sendAddress(text, adding);
    }
  });
}
