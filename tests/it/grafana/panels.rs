//! From a source to the JSON that Grafana reads (its classic schema).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::links;
use super::promql::expand;
use super::source::{Column, Dashboard, Kind, Line, Override, Panel, Query, Step};
use super::variables;

/// What has to be said of every bar.
const ESTIMATED: &str = "Prometheus estimates the counts from its samples, so a bar may be off by a part of one and is shown in whole ones.";

/// The data source of everything.
pub(super) static DATASOURCE: LazyLock<Value> = LazyLock::new(|| json!({"type": "prometheus", "uid": "${datasource}"}));

/// A dashboard as Grafana reads it.
pub(super) fn dashboard(source: &Dashboard) -> Value {
    let (mut panels, mut top) = (Vec::new(), 0);
    for row in &source.rows {
        let (id, grid) = (panels.len() + 1, json!({"x": 0, "y": top, "w": 24, "h": 1}));
        panels.push(
            json!({"id": id, "type": "row", "title": row.title, "collapsed": false, "gridPos": grid, "panels": []}),
        );
        top += 1;
        let mut left = 0;
        for panel in &row.panels {
            if left + panel.width > 24 {
                (left, top) = (0, top + row.height);
            }
            let grid = json!({"x": left, "y": top, "w": panel.width, "h": row.height});
            panels.push(draw(source, panel, panels.len() + 1, &grid));
            left += panel.width;
        }
        top += row.height;
    }
    json!({
        "id": null, "uid": source.uid, "title": source.title, "description": source.description, "tags": ["jelou"],
        "schemaVersion": 39, "version": 1, "editable": false, "graphTooltip": 1, "timezone": "", "weekStart": "",
        "fiscalYearStartMonth": 0, "liveNow": false, "refresh": "1m", "time": {"from": "now-24h", "to": "now"},
        "timepicker": {},
        "templating": {"list": source.variables.iter().map(|name| variables::declare(name)).collect::<Vec<_>>()},
        "annotations": {"list": [alerts(source)]},
        "links": [{
            "type": "dashboards", "tags": ["jelou"], "title": "Jelou", "icon": "external link", "tooltip": "", "url": "",
            "asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false,
        }],
        "panels": panels,
    })
}

/// When which alert fired, over every curve: those of whatever is chosen, and those that are not so particular, as the
/// alerts on an exporter, which bear no team, are about every team.
fn alerts(source: &Dashboard) -> Value {
    let chosen = ["job", "account", "team"].into_iter().filter(|name| source.variables.iter().any(|has| has == name));
    let mut matchers: Vec<_> = chosen.map(|name| format!("{name}=~\"${name}|\"")).collect();
    let of_customers = source.variables.iter().any(|name| name == "team");
    if !of_customers {
        matchers.push("concerns=\"exporter\"".to_owned());
    }
    json!({
        "name": "Alerts", "enable": true, "hide": false, "iconColor": "red", "datasource": *DATASOURCE,
        "target": {
            "refId": "Alerts", "interval": "60s",
            "expr": format!("ALERTS{{alertname=~\"Jelou.+\",alertstate=\"firing\",{}}}", matchers.join(",")),
        },
        "titleFormat": "{{alertname}}", "textFormat": if of_customers { "{{team}}" } else { "{{account}}" },
    })
}

fn draw(source: &Dashboard, panel: &Panel, id: usize, grid: &Value) -> Value {
    let estimated = (panel.kind == Kind::Bars).then_some(ESTIMATED);
    let description = [Some(panel.asks.as_str()), panel.means.as_deref(), estimated];
    let description = description.into_iter().flatten().collect::<Vec<_>>();
    let mut drawn = json!({
        "id": id, "title": panel.title, "description": description.join(" "), "gridPos": grid,
        "type": match panel.kind {
            Kind::Stat => "stat",
            Kind::Timeseries | Kind::Bars => "timeseries",
            Kind::Bargauge => "bargauge",
            Kind::Barchart => "barchart",
            Kind::Heatmap => "heatmap",
            Kind::Table => "table",
        },
        "datasource": *DATASOURCE,
        "targets": targets(panel),
        "fieldConfig": {"defaults": defaults(panel), "overrides": overrides(source, panel)},
        "options": options(panel),
    });
    let transformations =
        if panel.kind == Kind::Table { table_transformations(panel) } else { panel.transformations.clone() };
    for (key, value) in [
        ("transformations", (!transformations.is_empty()).then(|| json!(transformations))),
        ("interval", panel.interval.as_ref().map(|step| json!(step))),
        ("maxDataPoints", panel.points.map(|points| json!(points))),
        ("timeFrom", panel.from.as_ref().map(|from| json!(from))),
        ("timeShift", panel.shift.as_ref().map(|shift| json!(shift))),
    ] {
        if let Some(value) = value {
            drawn[key] = value;
        }
    }
    drawn
}

fn targets(panel: &Panel) -> Vec<Value> {
    let of_columns = panel.columns.iter().map(|column| Query {
        expr: column.expr.clone(),
        legend: String::new(),
        instant: true,
        format: Some("table".to_owned()),
    });
    let queries = panel.queries.iter().cloned().chain(of_columns);
    let target = |(at, query): (usize, Query)| {
        let instant = query.instant || panel.kind == Kind::Stat && !panel.graph;
        json!({
            "refId": reference(at), "datasource": *DATASOURCE, "editorMode": "code", "expr": expand(&query.expr),
            "legendFormat": query.legend, "instant": instant, "range": !instant,
            "exemplar": panel.exemplars,
            "format": query.format.unwrap_or_else(|| "time_series".to_owned()),
        })
    };
    queries.enumerate().map(target).collect()
}

fn reference(at: usize) -> String {
    char::from(b'A' + u8::try_from(at).unwrap()).to_string()
}

/// The colours from each value on; where they mean nothing, the colour of text.
fn thresholds(steps: &[Step]) -> Value {
    let plain = [(None, "text".to_owned())];
    let steps = if steps.is_empty() { &plain[..] } else { steps };
    let steps: Vec<_> = steps.iter().map(|(value, color)| json!({"value": value, "color": color})).collect();
    json!({"mode": "absolute", "steps": steps})
}

/// What colours a series that has no colour of its own. Grafana's palettes give anyone red and green, which mean something
/// here: a series is blue, or of the colour that its newest value has.
fn color(panel: &Panel) -> Value {
    match panel.kind {
        Kind::Barchart => json!({"mode": "fixed", "fixedColor": "blue"}),
        Kind::Timeseries if panel.steps.is_empty() || panel.lines => json!({"mode": "shades", "fixedColor": "blue"}),
        Kind::Bars => json!({"mode": "shades", "fixedColor": "blue"}),
        Kind::Timeseries => json!({"mode": "thresholds", "seriesBy": "last"}),
        Kind::Stat | Kind::Bargauge | Kind::Heatmap | Kind::Table => json!({"mode": "thresholds"}),
    }
}

fn defaults(panel: &Panel) -> Value {
    let mut defaults = json!({
        "unit": panel.unit, "thresholds": thresholds(&panel.steps), "color": color(panel), "custom": custom(panel),
    });
    if !panel.words.is_empty() {
        let words: Map<_, _> =
            panel.words.iter().map(|(value, word)| (value.clone(), json!({"text": word, "index": 0}))).collect();
        defaults["mappings"] = json!([{"type": "value", "options": words}]);
    }
    for (key, value) in [
        // Bars are of things that there is no half of.
        ("decimals", panel.decimals.or((panel.kind == Kind::Bars).then_some(0)).map(|decimals| json!(decimals))),
        ("min", panel.min.or((panel.kind == Kind::Bars).then_some(0.0)).map(|min| json!(min))),
        ("max", panel.max.map(|max| json!(max))),
        ("noValue", panel.none.as_ref().map(|none| json!(none))),
    ] {
        if let Some(value) = value {
            defaults[key] = value;
        }
    }
    defaults
}

fn custom(panel: &Panel) -> Value {
    let mut custom = custom_of_kind(panel);
    if let Some(reaches) = panel.reaches {
        custom["axisSoftMax"] = json!(reaches);
    }
    custom
}

fn custom_of_kind(panel: &Panel) -> Value {
    let hide = json!({"legend": false, "tooltip": false, "viz": false});
    let axis = if panel.log { json!({"type": "log", "log": 10}) } else { json!({"type": "linear"}) };
    let bars = panel.kind == Kind::Bars;
    match panel.kind {
        Kind::Stat | Kind::Bargauge => json!({}),
        Kind::Table => {
            json!({
                "align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "filterable": false, "minWidth": 70,
            })
        }
        Kind::Heatmap => json!({"scaleDistribution": axis, "hideFrom": hide}),
        Kind::Barchart => json!({
            "lineWidth": 0, "fillOpacity": 80, "gradientMode": "none", "axisPlacement": "auto", "axisLabel": "",
            "axisBorderShow": false, "axisCenteredZero": false, "axisColorMode": "text", "scaleDistribution": axis,
            "thresholdsStyle": {"mode": "off"}, "hideFrom": hide,
        }),
        Kind::Timeseries | Kind::Bars => json!({
            "drawStyle": if bars { "bars" } else { "line" }, "lineWidth": u8::from(!bars),
            "fillOpacity": if bars { 80 } else { panel.fill }, "gradientMode": "none", "lineInterpolation": "linear",
            // What increased up to a point in time stands before it.
            "barAlignment": if bars { -1 } else { 0 }, "barWidthFactor": 0.9,
            "stacking": {"mode": if bars { "normal" } else { "none" }, "group": "A"},
            "showPoints": "never", "pointSize": 5, "spanNulls": false, "insertNulls": false, "axisPlacement": "auto",
            "axisLabel": "", "axisBorderShow": false, "axisCenteredZero": false, "axisColorMode": "text",
            "scaleDistribution": axis, "thresholdsStyle": {"mode": if panel.lines { "line" } else { "off" }},
            "hideFrom": hide,
        }),
    }
}

fn overrides(source: &Dashboard, panel: &Panel) -> Vec<Value> {
    let mut overrides: Vec<_> = panel.overrides.iter().map(series_override).collect();
    overrides.extend(panel.columns.iter().filter(|column| column.label.is_none()).map(column_override));
    if let Some(by) = &panel.by {
        let mut properties = vec![json!({"id": "custom.width", "value": 180})];
        properties.extend(panel.link.iter().map(|link| json!({"id": "links", "value": [links::of_row(source, link)]})));
        overrides.push(json!({"matcher": {"id": "byName", "options": capital(by)}, "properties": properties}));
    }
    overrides
}

fn series_override(different: &Override) -> Value {
    let mut properties = Vec::new();
    let mut set = |id: &str, value: Value| properties.push(json!({"id": id, "value": value}));
    if let Some(Line::Dashed) = different.line {
        set("color", json!({"mode": "fixed", "fixedColor": "text"}));
        set("custom.drawStyle", json!("line"));
        set("custom.lineStyle", json!({"fill": "dash", "dash": [6, 4]}));
        set("custom.lineWidth", json!(1));
        set("custom.fillOpacity", json!(0));
        set("custom.stacking", json!({"mode": "none", "group": "A"}));
    }
    if let Some(colour) = &different.colour {
        set("color", json!({"mode": "fixed", "fixedColor": colour}));
    }
    if let Some(unit) = &different.unit {
        set("unit", json!(unit));
    }
    if let Some(axis) = &different.axis {
        set("custom.axisPlacement", json!(axis));
    }
    if let Some(reaches) = different.reaches {
        set("custom.axisSoftMax", json!(reaches));
    }
    if let Some(fill) = different.fill {
        set("custom.fillOpacity", json!(fill));
    }
    let matcher = match (&different.of, &different.like) {
        (Some(name), None) => json!({"id": "byName", "options": name}),
        (None, Some(regex)) => json!({"id": "byRegexp", "options": regex}),
        _ => panic!("an override is `of` a series or of those that are `like` something"),
    };
    json!({"matcher": matcher, "properties": properties})
}

fn column_override(column: &Column) -> Value {
    let mut properties = Vec::new();
    let mut set = |id: &str, value: Value| properties.push(json!({"id": id, "value": value}));
    if let Some(unit) = &column.unit {
        set("unit", json!(unit));
    }
    if let Some(decimals) = column.decimals {
        set("decimals", json!(decimals));
    }
    if !column.steps.is_empty() {
        set("thresholds", thresholds(&column.steps));
        set("custom.cellOptions", json!({"type": "color-text"}));
    }
    json!({"matcher": {"id": "byName", "options": column.name}, "properties": properties})
}

/// One row for each value of the label, one column for each query.
fn table_transformations(panel: &Panel) -> Vec<Value> {
    let by = panel.by.as_deref().unwrap_or_else(|| panic!("{}: a table without `by`", panel.title));
    let (mut names, mut order, mut excluded) = (Map::new(), Map::new(), Map::new());
    excluded.insert("Time".to_owned(), json!(true));
    names.insert(by.to_owned(), json!(capital(by)));
    order.insert(by.to_owned(), json!(0));
    for (at, column) in panel.columns.iter().enumerate() {
        let value = format!("Value #{}", reference(at));
        let shown = if let Some(label) = &column.label {
            excluded.insert(value, json!(true));
            label.clone()
        } else {
            value
        };
        names.insert(shown.clone(), json!(column.name));
        order.insert(shown, json!(at + 1));
    }
    vec![
        json!({"id": "merge", "options": {}}),
        json!({
            "id": "organize",
            "options": {"excludeByName": excluded, "indexByName": order, "renameByName": names, "includeByName": {}},
        }),
    ]
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn options(panel: &Panel) -> Value {
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    // Where the newest value colours a series, it is told beside its name.
    let calcs: &[&str] = if color(panel)["seriesBy"] == "last" { &["lastNotNull"] } else { &[] };
    let legend = json!({"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": calcs});
    match panel.kind {
        Kind::Stat => json!({
            "reduceOptions": reduce, "colorMode": "value", "graphMode": if panel.graph { "area" } else { "none" },
            "textMode": "value", "justifyMode": "auto", "orientation": "auto", "wideLayout": true,
            "showPercentChange": false, "percentChangeColorMode": "standard",
        }),
        Kind::Bargauge => json!({
            "reduceOptions": reduce, "displayMode": "basic", "orientation": "horizontal", "valueMode": "color",
            "namePlacement": "auto", "sizing": "auto", "showUnfilled": true, "minVizWidth": 8, "minVizHeight": 16,
            "maxVizHeight": 40, "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
        }),
        Kind::Barchart => json!({
            "xField": "Time", "orientation": "vertical", "showValue": "never", "stacking": "none", "barWidth": 0.9,
            "barRadius": 0, "groupWidth": 0.7, "fullHighlight": false, "xTickLabelRotation": 0, "xTickLabelSpacing": 0,
            "xTickLabelMaxLength": 100,
            "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        }),
        Kind::Timeseries | Kind::Bars => {
            json!({"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}})
        }
        Kind::Heatmap => json!({
            "calculate": false, "cellGap": 1, "cellValues": {"unit": "short", "decimals": 0}, "showValue": "never",
            "yAxis": {"unit": panel.unit, "axisPlacement": "left", "reverse": false},
            "color": {
                "mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5,
                "steps": 64, "reverse": false,
            },
            "filterValues": {"le": 1e-9}, "rowsFrame": {"layout": "auto"}, "legend": {"show": true},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "tooltip": {"mode": "single", "yHistogram": true, "showColorScale": true},
        }),
        Kind::Table => json!({
            "showHeader": true, "cellHeight": "sm", "frameIndex": 0,
            "sortBy": panel.sort.iter().map(|column| json!({"displayName": column, "desc": false})).collect::<Vec<_>>(),
        }),
    }
}
