package kibana

// worldMap is a panel of countries as Kibana Maps stores it by value, and its
// references. The borders come from Elastic's map service, which the browser asks;
// without it the panel stays empty.
func (p Panel) worldMap(index string) (attributes object, refs list) {
	join, refName := fixedID(index, "join"), "layer_1_join_0_index_pattern"
	m, by := p.Measures[0], p.By[0]
	figure, field := object{"type": "count", "label": m.Label}, "__kbnjoin__count__"+join
	if m.Op != Count {
		figure = object{"type": map[Op]string{Sum: "sum", Max: "max", Unique: "cardinality"}[m.Op], "field": m.Field, "label": m.Label}
		field = "__kbnjoin__" + figure["type"].(string) + "_of_" + m.Field + "__" + join
	}
	fixed := func(option string, value any) object {
		return object{"type": "STATIC", "options": object{option: value}}
	}
	layers := list{
		object{"id": fixedID(index, "base"), "type": "EMS_VECTOR_TILE", "label": nil, "minZoom": 0, "maxZoom": 24, "alpha": 1, "visible": true,
			"includeInFitToBounds": true, "sourceDescriptor": object{"type": "EMS_TMS", "isAutoSelect": true}, "style": object{"type": "EMS_VECTOR_TILE", "color": ""}},
		object{"id": fixedID(index, "countries"), "type": "GEOJSON_VECTOR", "label": p.Title, "minZoom": 0, "maxZoom": 24, "alpha": 0.75, "visible": true,
			"includeInFitToBounds": true, "query": nil,
			"sourceDescriptor": object{"type": "EMS_FILE", "id": "world_countries", "tooltipProperties": list{"name", "iso2"}},
			"joins": list{object{"leftField": "iso2", "right": object{"type": "ES_TERM_SOURCE", "id": join, "term": by.Field, "size": by.Size,
				"metrics": list{figure}, "whereQuery": object{"language": "kuery", "query": kql(p.Where)}, "indexPatternRefName": refName,
				"applyGlobalQuery": true, "applyGlobalTime": true, "applyForceRefresh": true}}},
			"style": object{"type": "VECTOR", "isTimeAware": true, "properties": object{
				"icon": fixed("value", "marker"), "lineColor": fixed("color", "#3d3d3d"), "lineWidth": fixed("size", 1), "iconSize": fixed("size", 6),
				"fillColor": object{"type": "DYNAMIC", "options": object{"color": "Yellow to Red", "colorCategory": "palette_0", "type": "ORDINAL",
					"field": object{"name": field, "origin": "join"}, "fieldMetaOptions": object{"isEnabled": true, "sigma": 3}}},
			}}},
	}
	state := object{"zoom": 1.2, "center": object{"lon": 10, "lat": 25}, "timeFilters": object{"from": "now-24h", "to": "now"},
		"refreshConfig": object{"isPaused": true, "interval": 0}, "query": object{"language": "kuery", "query": ""}, "filters": list{},
		"settings": object{"autoFitToDataBounds": false}}
	refs = list{ref(refName, "index-pattern", viewOf(p.Over).ID)}
	return object{"title": p.Title, "description": "", "mapStateJSON": text(state), "layerListJSON": text(layers),
		"uiStateJSON": text(object{"isLayerTOCOpen": false, "openTOCDetails": list{}}), "references": refs}, refs
}
