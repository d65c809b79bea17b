package kibana

import "strconv"

// records is what Lens calls the documents themselves.
const records = "___records___"

// lens is a panel as Lens stores it by value, and the references that it needs.
func (p Panel) lens(index string) (attributes object, refs list) {
	layer := fixedID(index, "layer")
	order, columns := list{}, object{}
	for i, s := range p.By {
		order = append(order, splitID(i))
		columns[splitID(i)] = p.splitColumn(s)
	}
	for i, m := range p.Measures {
		order = append(order, measureName(i))
		columns[measureName(i)] = m.column()
	}
	kind, visual := p.visual(layer)
	refs = list{ref("indexpattern-datasource-layer-"+layer, "index-pattern", viewOf(p.Over).ID)}
	return object{
		"title": p.Title, "description": "", "type": "lens", "visualizationType": kind, "references": refs,
		"state": object{
			"adHocDataViews": object{}, "internalReferences": list{}, "filters": list{},
			"query":         object{"language": "kuery", "query": kql(p.Where)},
			"visualization": visual,
			"datasourceStates": object{"formBased": object{"layers": object{layer: object{
				"columnOrder": order, "columns": columns, "incompleteColumns": object{}, "sampling": 1,
			}}}},
		},
	}, refs
}

func splitID(i int) string { return "s" + strconv.Itoa(i) }

// column is a measure as a column of Lens.
func (m Measure) column() object {
	c := object{"label": m.Label, "customLabel": true, "dataType": "number", "isBucketed": false, "scale": "ratio", "sourceField": m.Field}
	switch m.Op {
	case Count:
		c["operationType"], c["sourceField"], c["params"] = "count", records, object{"emptyAsNull": false}
	case Sum:
		c["operationType"], c["params"] = "sum", object{"emptyAsNull": false}
	case Unique:
		c["operationType"], c["params"] = "unique_count", object{"emptyAsNull": false}
	case Max:
		c["operationType"], c["params"] = "max", object{"emptyAsNull": true}
		if typeOf(m.Field) == "date" {
			c["dataType"] = "date"
		}
	}
	if len(m.Where) > 0 {
		c["filter"] = object{"language": "kuery", "query": kql(m.Where)}
	}
	return c
}

// splitColumn is a split as a column of Lens.
func (p Panel) splitColumn(s Split) object {
	if s.time() {
		return object{"label": s.Label, "customLabel": true, "dataType": "date", "isBucketed": true, "scale": "interval",
			"operationType": "date_histogram", "sourceField": s.Field,
			"params": object{"interval": "auto", "includeEmptyRows": true, "dropPartials": false}}
	}
	typ := map[string]string{"long": "number", "double": "number", "ip": "ip", "date": "date"}[typeOf(s.Field)]
	if typ == "" {
		typ = "string"
	}
	return object{"label": s.Label, "customLabel": true, "dataType": typ, "isBucketed": true, "scale": "ordinal",
		"operationType": "terms", "sourceField": s.Field,
		"params": object{"size": s.Size, "orderBy": object{"type": "column", "columnId": measureName(0)}, "orderDirection": "desc",
			"otherBucket": false, "missingBucket": false, "parentFormat": object{"id": "terms"},
			"include": list{}, "exclude": list{}, "includeIsRegex": false, "excludeIsRegex": false}}
}

// visual is how Lens draws a panel.
func (p Panel) visual(layer string) (kind string, state object) {
	measures := list{}
	for i := range p.Measures {
		measures = append(measures, measureName(i))
	}
	switch p.Shape {
	case Number:
		return "lnsMetric", object{"layerId": layer, "layerType": "data", "metricAccessor": measureName(0)}
	case Donut:
		return "lnsPie", object{"shape": "donut", "layers": list{object{"layerId": layer, "layerType": "data",
			"primaryGroups": list{splitID(0)}, "metrics": measures, "numberDisplay": "value", "categoryDisplay": "default",
			"legendDisplay": "show", "nestedLegend": false}}}
	case Table:
		columns := list{}
		for i := range p.By {
			columns = append(columns, object{"columnId": splitID(i), "isTransposed": false})
		}
		for _, m := range measures {
			columns = append(columns, object{"columnId": m, "isTransposed": false})
		}
		return "lnsDatatable", object{"layerId": layer, "layerType": "data", "columns": columns,
			"rowHeight": "auto", "headerRowHeight": "auto", "paging": object{"size": 10, "enabled": true}}
	}
	return "lnsXY", p.chart(layer, measures)
}

// chart is the state of lines and bars.
func (p Panel) chart(layer string, measures list) object {
	series := map[Shape]string{Bars: "bar_stacked", Lines: "line", Ranked: "bar_horizontal"}[p.Shape]
	data := object{"layerId": layer, "layerType": "data", "seriesType": series, "xAccessor": splitID(0), "accessors": measures,
		"position": "top", "showGridlines": false}
	if len(p.By) > 1 {
		data["splitAccessor"] = splitID(1)
	}
	legend := len(p.By) > 1 || len(p.Measures) > 1
	return object{
		"layers": list{data}, "preferredSeriesType": series, "valueLabels": "hide", "fittingFunction": "Zero",
		"legend":                       object{"isVisible": legend, "position": "bottom", "showSingleSeries": false},
		"axisTitlesVisibilitySettings": object{"x": false, "yLeft": false, "yRight": false},
		"tickLabelsVisibilitySettings": object{"x": true, "yLeft": true, "yRight": true},
		"gridlinesVisibilitySettings":  object{"x": false, "yLeft": true, "yRight": true},
		"labelsOrientation":            object{"x": 0, "yLeft": 0, "yRight": 0},
	}
}
