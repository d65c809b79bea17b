package kibana

import "github.com/portcullis/portcullis/detect/store/elastic"

// columnsOfGrid is the width of Kibana's grid.
const columnsOfGrid = 48

// object is a dashboard with its panels by value.
func (b Board) object() Object {
	panels, refs := list{}, list{ref(oursRef, "index-pattern", viewOf(elastic.Finding).ID)}
	x, y, high := 0, 0, 0
	for _, p := range b.Panels {
		if x+p.Wide > columnsOfGrid {
			x, y, high = 0, y+high, 0
		}
		panel, own := b.panel(p)
		panel["gridData"] = object{"x": x, "y": y, "w": p.Wide, "h": p.High, "i": b.index(p)}
		panels, refs = append(panels, panel), append(refs, own...)
		x, high = x+p.Wide, max(high, p.High)
	}
	controls, own := b.controls()
	attributes := object{
		"title": b.Title, "description": b.About, "version": 1,
		"timeRestore": true, "timeFrom": "now-24h", "timeTo": "now", "refreshInterval": object{"pause": true, "value": 60000},
		"kibanaSavedObjectMeta": object{"searchSourceJSON": text(object{"query": object{"language": "kuery", "query": ""}, "filter": list{ours()}})},
		"optionsJSON":           text(object{"hidePanelTitles": false, "syncColors": true, "syncCursor": true, "syncTooltips": false, "useMargins": true}),
		"panelsJSON":            text(panels),
	}
	if controls != nil {
		attributes["controlGroupInput"] = controls
	}
	return Object{b.ID, "dashboard", attributes, append(refs, own...), coreVersion, dashboardVersion, false}
}

// oursRef is the data view whose field the filter of a dashboard names.
const oursRef = "kibanaSavedObjectMeta.searchSourceJSON.filter[0].meta.index"

// ours is the filter of every dashboard. Data views select the documents already; it keeps
// others out that somebody writes to indices with such a name.
func ours() object {
	return object{"$state": object{"store": "appState"}, "query": object{"match_phrase": object{"event.module": "portcullis"}},
		"meta": object{"alias": nil, "disabled": false, "negate": false, "type": "phrase", "key": "event.module", "field": "event.module",
			"params": object{"query": "portcullis"}, "indexRefName": oursRef}}
}

// panel is a part of a dashboard by value, and its references under the panel's name.
func (b Board) panel(p Panel) (object, list) {
	index := b.index(p)
	config, kind := object{"enhancements": object{}}, "lens"
	var refs list
	switch p.Shape {
	case Map:
		kind = "map"
		config["attributes"], refs = p.worldMap(index)
	case List:
		kind = "search"
		s := Search{Title: p.Title, Over: p.Over, Where: p.Where, Columns: p.Columns}
		refs = s.object().References
		a := s.attributes()
		a["references"] = refs
		config["attributes"] = a
	case Links:
		kind = "links"
		config["attributes"], refs = b.links(index)
		config["hidePanelTitles"] = true
	default:
		config["attributes"], refs = p.lens(index)
	}
	if p.Drill {
		event := fixedID(index, "drill")
		config["enhancements"] = object{"dynamicActions": object{"events": list{object{
			"eventId": event, "triggers": list{"FILTER_TRIGGER"},
			"action": object{"factoryId": drilldown, "name": "Investigate",
				"config": object{"useCurrentFilters": true, "useCurrentDateRange": true, "openInNewTab": false}},
		}}}}
		refs = append(refs, ref("drilldown:"+drilldown+":"+event+":dashboardId", "dashboard", investigation))
	}
	named := make(list, len(refs))
	for i, r := range refs {
		o := r.(object)
		named[i] = ref(index+":"+o["name"].(string), o["type"].(string), o["id"].(string))
	}
	return object{"type": kind, "title": p.Title, "panelIndex": index, "embeddableConfig": config}, named
}

const drilldown = "DASHBOARD_TO_DASHBOARD_DRILLDOWN"

// links lead to the other dashboards, with the time and the filters of this one.
func (b Board) links(index string) (attributes object, refs list) {
	items := list{}
	for i, other := range boards() {
		id := fixedID(index, other.ID)
		name := "link_" + id + "_dashboard"
		items = append(items, object{"id": id, "type": "dashboardLink", "order": i, "label": other.short(), "destinationRefName": name,
			"options": object{"openInNewTab": false, "useCurrentDateRange": true, "useCurrentFilters": false}})
		refs = append(refs, ref(name, "dashboard", other.ID))
	}
	return object{"title": "", "description": "", "layout": "horizontal", "links": items}, refs
}

// controls let people choose values of fields.
func (b Board) controls() (object, list) {
	if len(b.Controls) == 0 {
		return nil, nil
	}
	panels, refs := object{}, list{}
	for i, c := range b.Controls {
		id := fixedID(b.ID, "control", c.Field)
		panels[id] = object{"type": "optionsListControl", "order": i, "grow": true, "width": "medium", "explicitInput": object{
			"id": id, "fieldName": c.Field, "title": c.Title, "searchTechnique": "prefix", "selectedOptions": list{}, "singleSelect": c.One,
			"sort": object{"by": "_count", "direction": "desc"}, "enhancements": object{}}}
		refs = append(refs, ref("controlGroup_"+id+":optionsListDataView", "index-pattern", viewOf(c.Over).ID))
	}
	return object{
		"chainingSystem": "HIERARCHICAL", "controlStyle": "oneLine", "showApplySelections": false, "panelsJSON": text(panels),
		"ignoreParentSettingsJSON": text(object{"ignoreFilters": false, "ignoreQuery": false, "ignoreTimerange": false, "ignoreValidations": false}),
	}, refs
}
