// Words between the viewer and the page around it, which only a configured origin can be (frame-ancestors): that an
// image (a document, a slide) stands there, which one it is, and a wish to see a certain one.
(() => {
  if (window.parent === window) return;
  const tell = (word) => window.parent.postMessage(word, '*');
  const shown = () => {
    try {
      const { viewportGridService, cornerstoneViewportService } = window.services;
      return cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
    } catch {
      return null; // OHIF is still starting
    }
  };
  const parts = /studies\/([\d.]+)\/series\/([\d.]+)\/instances\/([\d.]+)(?:\/frames\/(\d+))?/;
  const WITHOUT_IMAGES = 'object[type="application/pdf"], .DicomMicroscopyViewer canvas';
  let last = '';
  let told = false;
  let wanted = '';
  let waited = 0;
  const look = () => {
    const viewport = shown();
    const image = viewport?.getCurrentImageId?.();
    const found = parts.exec(image ?? '');
    if (!told && (found || document.querySelector(WITHOUT_IMAGES))) {
      told = true;
      tell({ konsil: 'ready' });
    }
    if (!found) return;
    if (image !== last) {
      const place = viewport.getCurrentImageIdIndex?.() ?? 0;
      const total = viewport.getImageIds?.().length ?? 0;
      tell({ konsil: 'image', study: found[1], sop: found[4] > 1 ? `${found[3]}:${found[4]}` : found[3], number: place + 1, total });
    }
    last = image;
    if (wanted) show(viewport);
  };
  // Go to an image: in the series that is shown, else by showing its series in the active viewport first.
  const show = (viewport) => {
    const [sop, frame] = wanted.split(':');
    const at = (viewport.getImageIds?.() ?? []).findIndex((each) => each.includes(`/instances/${sop}/`) && (!frame || each.endsWith(`/frames/${frame}`)));
    waited += 1;
    if (at >= 0) {
      wanted = '';
      if (viewport.setImageIdIndex) viewport.setImageIdIndex(at); else viewport.jumpToWorld?.(at);
    } else if (waited === 1) {
      const sets = window.services.displaySetService.getActiveDisplaySets();
      const holding = sets.find((each) => (each.instances ?? each.images ?? []).some((one) => one.SOPInstanceUID === sop));
      const viewportId = window.services.viewportGridService.getActiveViewportId();
      if (holding) window.services.viewportGridService.setDisplaySetsForViewport({ viewportId, displaySetInstanceUIDs: [holding.displaySetInstanceUID] });
    } else if (waited > 60) wanted = '';
  };
  window.addEventListener('message', (event) => {
    if (event.source !== window.parent || event.data?.konsil !== 'show') return;
    wanted = String(event.data.sop);
    waited = 0;
  });
  setInterval(look, 400);
})();
