import { createRoot } from 'react-dom/client';
import { createTheme, rangeUtil } from '@grafana/data';
import { GlobalStyles, ThemeContext } from '@grafana/ui';
import { Panel } from './panel.jsx';

// Grafana's grid: a line is 30 pixels and a gap of 8.
const GAP = 8;
const LINE = 30;
const TOP = 48;

const parameters = Object.fromEntries(new URLSearchParams(location.search));
const theme = createTheme({ colors: { mode: 'dark' } });

// Everything is chosen unless the page was asked for something else.
function chosen(dashboard) {
  const value = ({ type, current }) => (type === 'query' ? '.+' : current?.value);
  const all = Object.fromEntries(dashboard.templating.list.map((variable) => [variable.name, value(variable)]));
  for (const [key, asked] of Object.entries(parameters)) {
    if (key.startsWith('var-')) all[key.slice(4)] = asked;
  }
  return all;
}

function Dashboard({ dashboard, width, page }) {
  const column = (width - GAP) / 24;
  let left = dashboard.panels.filter(({ type }) => type !== 'row').length;
  const onDrawn = (problem) => {
    if (problem) fetch(`/problem?${new URLSearchParams({ what: problem })}`);
    left -= 1;
    // The curves are drawn a moment after the panels are there.
    if (left === 0) setTimeout(() => fetch('/done'), 1500);
  };
  const place = ({ x, y, w, h }) => ({
    position: 'absolute', left: GAP + x * column, top: TOP + y * (LINE + GAP), width: w * column - GAP, height: h * (LINE + GAP) - GAP,
  });
  const heading = { fontSize: 18, fontWeight: 500, lineHeight: `${LINE}px`, color: theme.colors.text.primary };
  return (
    <div style={{ position: 'relative' }}>
      <div style={{ position: 'absolute', left: GAP * 2, top: GAP, fontSize: 22, color: theme.colors.text.primary }}>{dashboard.title}</div>
      {dashboard.panels.map((panel) => {
        const at = place(panel.gridPos);
        if (panel.type === 'row') return <div key={panel.id} style={{ ...at, ...heading, paddingLeft: GAP }}>{panel.title}</div>;
        return <div key={panel.id} style={at}><Panel {...{ panel, page, onDrawn }} width={at.width} height={at.height} /></div>;
      })}
    </div>
  );
}

const dashboard = await (await fetch('/dashboard.json')).json();
const page = {
  destinations: await (await fetch('/destinations.json')).json(),
  theme, timeZone: 'browser', variables: chosen(dashboard), span: rangeUtil.intervalToSeconds(parameters.from ?? '24h'),
  to: parameters.to && parameters.to !== 'now' ? Number(parameters.to) : Math.floor(Date.now() / 1000),
  scrape: rangeUtil.intervalToSeconds(parameters.scrape ?? '1m'), mayBeEmpty: parameters.empty === 'true',
};
document.body.style.margin = '0';
document.body.style.background = theme.colors.background.canvas;
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <Dashboard dashboard={dashboard} width={Number(parameters.width ?? 1600)} page={page} />
  </ThemeContext.Provider>,
);
