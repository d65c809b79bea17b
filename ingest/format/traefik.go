package format

// Traefik's common log format: https://doc.traefik.io/traefik/observability/access-logs/
// <remote_IP_address> - <client_user_name_if_available> [<timestamp>] "<request_method> <request_path> <request_protocol>"
// <HTTP_status> <content-length> "<request_referrer>" "<request_user_agent>" <number_of_requests_received_since_Traefik_started>
// "<Traefik_router_name>" "<Traefik_server_URL>" <request_duration_in_ms>ms
//
// Nothing in it is escaped. Referer and agent are "-" unless the headers are kept.
func init() {
	Register("traefik-clf", Spec{
		Doc:     "Traefik's common log format (accessLog without format: json)",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "-" 17 "shop@docker" "http://10.0.0.3:80" 5ms`,
		Compile: noArgument(planFormat(mustTemplate(
			`{peer} - {user} [{local}] "{request}" {status} {bytes} "{referer}" "{agent}" {n} "{text}" "{text}" {ms}ms`, bareDialect))),
	})
}
