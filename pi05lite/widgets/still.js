// A live widget hides the still that was put behind it for readers without a kernel.
function hideStill(el) {
  let tries = 40;
  const look = () => {
    const child = el.isConnected && el.closest(".jp-OutputArea-child");
    const next = child && child.nextElementSibling;
    if (next && next.querySelector(".jp-RenderedPlotly")) next.style.display = "none";
    else if (tries--) setTimeout(look, 100);
  };
  look();
}

