package audit

// What checks rest on.
var (
	api2  = owasp("API2", "Broken Authentication", "0xa2-broken-authentication")
	api4  = owasp("API4", "Unrestricted Resource Consumption", "0xa4-unrestricted-resource-consumption")
	api5  = owasp("API5", "Broken Function Level Authorization", "0xa5-broken-function-level-authorization")
	api7  = owasp("API7", "Server Side Request Forgery", "0xa7-server-side-request-forgery")
	api8  = owasp("API8", "Security Misconfiguration", "0xa8-security-misconfiguration")
	api9  = owasp("API9", "Improper Inventory Management", "0xa9-improper-inventory-management")
	api10 = owasp("API10", "Unsafe Consumption of APIs", "0xaa-unsafe-consumption-of-apis")

	mozilla = Ref{"Mozilla, Server Side TLS", "https://wiki.mozilla.org/Security/Server_Side_TLS"}
)

func owasp(item, name, page string) Ref {
	return Ref{"OWASP " + item + ":2023 " + name, "https://owasp.org/API-Security/editions/2023/en/" + page + "/"}
}

// rfc names a part of an RFC.
func rfc(number, part, name string) Ref {
	url := "https://www.rfc-editor.org/rfc/rfc" + number + ".html"
	if part == "" {
		return Ref{"RFC " + number + " " + name, url}
	}
	return Ref{"RFC " + number + " section " + part + " " + name, url + "#section-" + part}
}
