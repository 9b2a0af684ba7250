// Two studies hang side by side: the first of the address (the current one) left, the second (the prior) right, each with
// its largest kind of series rather than a localizer; nothing else decides what is current.
{
  const from = (place) => ({
    studyMatchingRules: [
      { attribute: 'studyInstanceUIDsIndex', from: 'options', required: true, constraint: { equals: { value: place } } },
    ],
    seriesMatchingRules: [
      { attribute: 'numImageFrames', constraint: { greaterThan: { value: 0 } }, required: true },
      { attribute: 'numImageFrames', constraint: { greaterThan: { value: 9 } }, weight: 5 },
      { attribute: 'isDisplaySetFromUrl', constraint: { equals: true }, weight: 20 },
    ],
  });
  const shown = (id) => ({ viewportOptions: { toolGroupId: 'default', allowUnmatchedView: true }, displaySets: [{ id }] });
  const protocol = {
    id: 'konsil-compare',
    name: 'Current and prior',
    numberOfPriorsReferenced: 1,
    protocolMatchingRules: [
      { id: 'two', weight: 1000, attribute: 'StudyInstanceUID', from: 'prior', required: true, constraint: { notNull: true } },
    ],
    toolGroupIds: ['default'],
    displaySetSelectors: { current: from(0), prior: from(1) },
    defaultViewport: { viewportOptions: { viewportType: 'stack', toolGroupId: 'default', allowUnmatchedView: true }, displaySets: [{ id: 'current', matchedDisplaySetsIndex: -1 }] },
    stages: [{
      name: 'Current left, prior right',
      viewportStructure: { type: 'grid', layoutType: 'grid', properties: { rows: 1, columns: 2 } },
      viewports: [shown('current'), shown('prior')],
    }],
  };
  window.config.extensions.push({
    id: 'konsil-compare',
    getHangingProtocolModule: () => [{ name: protocol.id, protocol }],
  });
}
