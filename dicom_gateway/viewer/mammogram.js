// Mammograms hang as radiologists read them, found by side and view (0020,0062), (0018,5101), whatever a series is called.
{
  const view = (side, position) => ({
    seriesMatchingRules: [
      { attribute: 'Modality', constraint: { equals: 'MG' }, required: true },
      { attribute: 'ImageLaterality', constraint: { equals: side }, required: true, weight: 10 },
      { attribute: 'ViewPosition', constraint: { equals: position }, required: true, weight: 10 },
    ],
  });
  const wall = at => ({
    storeAsInitialCamera: true,
    imageArea: [0.95, 0.95],
    imageCanvasPoint: { imagePoint: [at, 0.5], canvasPoint: [at, 0.5] },
  });
  const shown = (id, at) => ({
    viewportOptions: { toolGroupId: 'default', displayArea: wall(at), allowUnmatchedView: true },
    displaySets: [{ id }],
  });
  const protocol = {
    id: 'konsil-mammogram',
    name: 'Mammogram, four views',
    numberOfPriorsReferenced: 0,
    protocolMatchingRules: [
      { id: 'mammogram', weight: 150, attribute: 'ModalitiesInStudy', constraint: { contains: 'MG' }, required: true },
      {
        id: 'views', attribute: 'numberOfDisplaySetsWithImages', constraint: { greaterThan: 2 }, required: true,
      },
    ],
    toolGroupIds: ['default'],
    displaySetSelectors: { RCC: view('R', 'CC'), LCC: view('L', 'CC'), RMLO: view('R', 'MLO'), LMLO: view('L', 'MLO') },
    stages: [{
      name: 'CC and MLO',
      viewportStructure: { type: 'grid', layoutType: 'grid', properties: { rows: 2, columns: 2 } },
      viewports: [shown('RCC', 1), shown('LCC', 0), shown('RMLO', 1), shown('LMLO', 0)],
    }],
  };
  window.config.extensions.push({
    id: 'konsil',
    getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
  });
}
