// A heat map with uPlot: Grafana's own is no part of its packages.
import { UPlotChart, UPlotConfigBuilder } from '@grafana/ui';
import { colorManipulator, getValueFormat, formattedValueToString } from '@grafana/data';

// What the strength of a colour stands for, from one reply to the most in a cell.
function Key({ most, theme }) {
  const steps = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.max(1, Math.round(part * most)));
  return (
    <div style={{ display: 'flex', alignItems: 'center', height: KEY, fontSize: 12, paddingLeft: 40, color: theme.colors.text.secondary }}>
      <span style={{ marginRight: 8 }}>replies in a cell</span>
      {[...new Set(steps)].map((count) => (
        <span key={count} style={{ marginRight: 12, display: 'flex', alignItems: 'center' }}>
          <span style={{ width: 24, height: 10, marginRight: 4, background: shade(theme, count, most) }} />{count}
        </span>
      ))}
      <span style={{ width: 4, height: 4, marginRight: 4, background: DOT }} />one conversation
    </div>
  );
}

const KEY = 20;
const DOT = 'rgba(255,0,255,0.7)';
const shade = (theme, count, most) =>
  colorManipulator.alpha(theme.visualization.getColorByName('orange'), Math.max(0.06, Math.sqrt(count / most)));

const short = (value) => formattedValueToString(getValueFormat('s')(value, 0));

// Cells from classic buckets, which count everything below their bound: one row for each bound.
function classicCells(result) {
  const rows = result.map(({ metric, values }) => ({ le: Number(metric.le.replace('+Inf', 'Infinity')), values: new Map(values.map(([at, count]) => [at, Number(count)])) }));
  rows.sort((a, b) => a.le - b.le);
  const cells = rows.flatMap(({ values }, row) => [...values].map(([at, count]) => ({
    at, low: row, high: row + 1, count: count - (row ? rows[row - 1].values.get(at) ?? 0 : 0),
  })));
  const place = (value) => rows.findIndex(({ le }) => value <= le) + 0.5;
  const labels = rows.map(({ le }, row) => [row + 1, Number.isFinite(le) ? short(le) : '']);
  return { cells, rows: [0, rows.length], place, labels };
}

const BOUNDS = [1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 14400, 28800];

// Cells from native histograms: rows on a logarithmic axis.
function nativeCells(result) {
  const cells = result.flatMap(({ histograms = [] }) => histograms.flatMap(([at, { buckets = [] }]) =>
    buckets.filter(([, low]) => Number(low) > 0).map(([, low, high, count]) => ({ at, low: Math.log2(low), high: Math.log2(high), count: Number(count) }))));
  const rows = [Math.min(...cells.map(({ low }) => low)), Math.max(...cells.map(({ high }) => high))];
  // A round bound above the highest cell, so that what lies there can be read.
  rows[1] = Math.log2(BOUNDS.find((bound) => Math.log2(bound) >= rows[1]) ?? 2 ** rows[1]);
  const bounds = BOUNDS.filter((bound) => Math.log2(bound) >= rows[0] && Math.log2(bound) <= rows[1]);
  return { cells, rows, place: Math.log2, labels: bounds.map((bound) => [Math.log2(bound), short(bound)]) };
}

export function Heatmap({ result, dots, time, width, height, theme, timeZone }) {
  const native = result.some(({ histograms }) => histograms);
  const { cells, rows, place, labels } = native ? nativeCells(result) : classicCells(result);
  const most = Math.max(...cells.map(({ count }) => count));
  const builder = new UPlotConfigBuilder(timeZone);
  builder.addScale({ scaleKey: 'x', isTime: true, orientation: 0, direction: 1, range: () => [time.shown.from * 1000, time.shown.to * 1000] });
  builder.addScale({ scaleKey: 'y', orientation: 1, direction: 1, range: () => rows });
  builder.addAxis({ scaleKey: 'x', isTime: true, placement: 'bottom', theme, timeZone });
  builder.addAxis({
    scaleKey: 'y', placement: 'left', theme, splits: () => labels.map(([at]) => at),
    values: () => labels.map(([, text]) => text), grid: { show: false },
  });
  builder.addSeries({ scaleKey: 'y', pathBuilder: () => null, pointsBuilder: () => null, theme, show: true });
  builder.addHook('draw', (u) => {
    const { ctx } = u;
    for (const { at, low, high, count } of cells.filter(({ count }) => count > 0.01)) {
      const [left, right] = [at - time.step, at].map((x) => u.valToPos(x * 1000, 'x', true));
      const [top, bottom] = [high, low].map((y) => u.valToPos(y, 'y', true));
      ctx.fillStyle = shade(theme, count, most);
      ctx.fillRect(left, top, Math.max(1, right - left - 1), Math.max(1, bottom - top - (native ? 0 : 1)));
    }
    ctx.fillStyle = DOT;
    for (const { at, value } of dots) {
      ctx.fillRect(u.valToPos(at * 1000, 'x', true) - 2, u.valToPos(place(value), 'y', true) - 2, 4, 4);
    }
  });
  const times = [time.from * 1000, time.to * 1000];
  return (
    <div>
      <UPlotChart config={builder} data={[times, [rows[0], rows[1]]]} width={width} height={height - KEY} />
      <Key {...{ most, theme }} />
    </div>
  );
}
