// The browser's graphics start up while the viewer's script is still on its way, in a worker, where nobody waits for them.
new Worker(URL.createObjectURL(new Blob(["new OffscreenCanvas(1, 1).getContext('webgl2')"])));

// Cornerstone makes seven WebGL contexts before the first picture; making them is most of the wait where no graphics
// card helps.  Two serve any number of viewports in turns, and the views of one volume share its textures.
window.config.extensions.push({
  id: 'konsil-contexts',
  onModeEnter: () => { window.cornerstone.getConfiguration().rendering.webGlContextCount = 2; },
});
