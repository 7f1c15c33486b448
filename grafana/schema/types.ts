// A dashboard with the panels that ours are made of, by Grafana's own types.
import type { Dashboard, Panel } from '@grafana/schema';
import type * as BarChart from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

export interface Parts {
  dashboard: Dashboard;
  panel: Panel;
  stat: Stat.Options;
  timeseries: TimeSeries.Options;
  timeseriesField: TimeSeries.FieldConfig;
  bargauge: BarGauge.Options;
  barchart: BarChart.Options;
  barchartField: BarChart.FieldConfig;
  heatmap: Heatmap.Options;
  heatmapField: Heatmap.FieldConfig;
  table: Table.Options;
  tableField: Table.FieldConfig;
}
