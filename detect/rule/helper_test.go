package rule_test

import "reflect"

func setInt(cfg any, field string, n int64) {
	reflect.ValueOf(cfg).Elem().FieldByName(field).SetInt(n)
}
