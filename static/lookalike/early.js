// Before the first paint: what works only with a script shows, what is there instead of it hides.
document.documentElement.classList.add("js");
