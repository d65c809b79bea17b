package inspect

// keyword groups the words of SQL by what the grammar needs to know of them.
type keyword uint8

const (
	kwNone keyword = iota
	kwOr           // or, and, xor, || and &&
	kwNot
	kwUnion
	kwAll
	kwSelect
	kwFrom
	kwWhere
	kwOrder
	kwGroup
	kwBy
	kwHaving
	kwLike // like, rlike, regexp, glob, ilike, sounds
	kwIs
	kwIn
	kwBetween
	kwNull // null, true, false
	kwCase
	kwEnd
	kwInto
	kwAs
	kwLimit
	kwProcedure
	kwStatement // begins a statement of its own
	kwTable
	kwSet
	kwWaitfor
	kwFunc // a function that injections call and prose does not
	kwExists
	kwBegin
)

const maxKeyword = 20

var sqlKeywords = buildKeywords(map[keyword][]string{
	kwOr:        {"or", "and", "xor"},
	kwNot:       {"not", "binary"},
	kwUnion:     {"union", "except", "intersect", "minus"},
	kwAll:       {"all", "distinct", "distinctrow"},
	kwSelect:    {"select"},
	kwFrom:      {"from"},
	kwWhere:     {"where"},
	kwOrder:     {"order"},
	kwGroup:     {"group"},
	kwBy:        {"by"},
	kwHaving:    {"having"},
	kwLike:      {"like", "rlike", "regexp", "glob", "ilike", "similar"},
	kwIs:        {"is"},
	kwIn:        {"in"},
	kwBetween:   {"between"},
	kwNull:      {"null", "true", "false"},
	kwCase:      {"case"},
	kwEnd:       {"end"},
	kwInto:      {"into"},
	kwAs:        {"as"},
	kwLimit:     {"limit", "offset"},
	kwProcedure: {"procedure"},
	kwStatement: {
		"insert", "update", "delete", "drop", "alter", "create", "truncate", "exec", "execute",
		"declare", "shutdown", "merge", "call", "grant", "revoke", "replace", "handler", "load", "attach", "copy",
	},
	kwTable:   {"table", "database", "view", "index", "user", "function", "schema", "column", "login"},
	kwSet:     {"set"},
	kwWaitfor: {"waitfor"},
	kwExists:  {"exists"},
	kwBegin:   {"begin", "if", "iif", "do"},
	kwFunc: {
		"sleep", "benchmark", "pg_sleep", "extractvalue", "updatexml", "load_file", "version", "database",
		"user", "current_user", "system_user", "session_user", "concat", "concat_ws", "group_concat", "char",
		"chr", "ascii", "ord", "unhex", "hex", "substr", "substring", "mid", "elt", "make_set", "exp", "floor",
		"rand", "count", "randomblob", "zeroblob", "like", "regexp_substring", "repeat", "generate_series",
		"cast", "convert", "xmltype", "nvl", "coalesce", "ifnull", "nullif", "iif", "json_keys", "name_const",
		"geometrycollection", "multipoint", "polygon", "gtid_subset", "row", "length", "char_length", "len",
		"quote", "schema", "last_insert_id", "row_count", "strcmp", "find_in_set", "lpad", "rpad", "conv",
		"uuid", "bin", "md5", "sha1", "if", "case", "openrowset", "opendatasource", "sqlite_version",
		"load_extension", "utl_inaddr", "dbms_pipe", "dbms_lock", "ctxsys", "sys_eval", "sys_exec", "db_name",
		"now", "sysdate", "pi", "host_name", "object_id", "is_srvrolemember", "quarter", "rawtohex", "isnull", "ora_hash", "st_latfromgeohash", "st_longfromgeohash", "st_pointfromgeohash", "linestring", "multilinestring",
		"multipolygon", "gtid_subtract", "pg_read_file", "pg_read_binary_file", "lo_import", "lo_get", "current_setting", "query_to_xml", "database_to_xml", "pg_ls_dir",
		"current_database", "current_schema", "is_member", "has_dbaccess", "likelihood", "to_char", "to_number", "json_extract", "lower", "upper", "strconcat", "instr",
	},
})

func buildKeywords(groups map[keyword][]string) map[string]keyword {
	out := make(map[string]keyword)
	for k := kwOr; k <= kwBegin; k++ {
		for _, w := range groups[k] {
			if _, ok := out[w]; !ok { // the first meaning wins: a function is known by its parenthesis
				out[w] = k
			}
		}
	}
	return out
}

// sqlFunctions are the words of kwFunc again, for those that are keywords too.
var sqlFunctions = func() map[string]bool {
	out := map[string]bool{}
	for w, k := range sqlKeywords {
		if k == kwFunc || k == kwLike || k == kwBegin || k == kwTable {
			out[w] = true
		}
	}
	return out
}()
