// What Grafana registers at its start, as far as drawing needs it.
import { FieldConfigOptionsRegistry, standardTransformers, standardTransformersRegistry } from '@grafana/data';

const OF_FIELDS = ['unit', 'min', 'max', 'decimals', 'noValue', 'color', 'thresholds', 'mappings', 'displayName', 'links'];
const OF_PANELS = [
  'drawStyle', 'lineInterpolation', 'lineStyle', 'lineWidth', 'fillOpacity', 'gradientMode', 'barAlignment', 'barWidthFactor',
  'stacking', 'showPoints', 'pointSize', 'spanNulls', 'insertNulls', 'axisPlacement', 'axisLabel', 'axisColorMode',
  'axisBorderShow', 'axisCenteredZero', 'scaleDistribution', 'thresholdsStyle', 'hideFrom', 'align', 'cellOptions',
  'inspect', 'filterable', 'minWidth', 'width', 'axisSoftMax',
];

const option = (id, path, isCustom) => ({
  id: isCustom ? `custom.${id}` : id, path, name: id, isCustom, process: (value) => value, shouldApply: () => true, settings: {},
});

export const registry = new FieldConfigOptionsRegistry(() => [
  ...OF_FIELDS.map((id) => option(id, id, false)),
  ...OF_PANELS.map((id) => option(id, id, true)),
]);

// Some have two names there.
const transformers = [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()];

standardTransformersRegistry.setInit(() => transformers.map((transformation) => ({
  id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null,
})));
