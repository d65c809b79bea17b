package als

import (
	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	logpb "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"

	"github.com/portcullis/portcullis/ingest/source/serve"
)

// appendHTTP appends an entry of a request; tail, the stream's identifier as
// appendIdentifier made it, ends the line.
func appendHTTP(dst []byte, e *logpb.HTTPAccessLogEntry, tail []byte) []byte {
	o := object{append(dst, '{')}
	o.common("commonProperties", e.GetCommonProperties())
	o.enum("protocolVersion", int32(e.GetProtocolVersion()), logpb.HTTPAccessLogEntry_HTTPVersion_name)
	o.request("request", e.GetRequest())
	o.response("response", e.GetResponse())
	return o.end(tail)
}

// appendTCP appends an entry of a connection.
func appendTCP(dst []byte, e *logpb.TCPAccessLogEntry, tail []byte) []byte {
	o := object{append(dst, '{')}
	o.common("commonProperties", e.GetCommonProperties())
	// Told even where it is empty: it is what tells such an entry from a request.
	o.open("connectionProperties")
	o.uint64("receivedBytes", e.GetConnectionProperties().GetReceivedBytes())
	o.uint64("sentBytes", e.GetConnectionProperties().GetSentBytes())
	o.close()
	return o.end(tail)
}

// end closes the object of an entry.
func (o *object) end(tail []byte) []byte {
	if len(tail) > 0 && o.buf[len(o.buf)-1] != '{' {
		o.buf = append(o.buf, ',')
	}
	return append(append(o.buf, tail...), '}', '\n')
}

// maxName caps each part of an identifier, which every line of a stream repeats.
const maxName = 256

// appendIdentifier makes the member that tells which log of which Envoy this is.
func appendIdentifier(dst []byte, logName string, node *corepb.Node) []byte {
	o := object{append(dst, `"identifier":{`...)}
	o.text("logName", capped(logName))
	if node.GetId() != "" || node.GetCluster() != "" {
		o.open("node")
		o.text("id", capped(node.GetId()))
		o.text("cluster", capped(node.GetCluster()))
		o.close()
	}
	o.close()
	return o.buf
}

// capped cuts a name; what is left of a character that it cuts becomes U+FFFD.
func capped(name string) string { return name[:min(len(name), maxName)] }

// common writes what requests and connections share.
func (o *object) common(name string, v *logpb.AccessLogCommon) {
	if v == nil {
		return
	}
	o.open(name)
	o.double("sampleRate", v.GetSampleRate())
	o.address("downstreamRemoteAddress", v.GetDownstreamRemoteAddress())
	o.address("downstreamLocalAddress", v.GetDownstreamLocalAddress())
	o.tls("tlsProperties", v.GetTlsProperties())
	o.time("startTime", v.GetStartTime())
	o.duration("timeToLastRxByte", v.GetTimeToLastRxByte())
	o.duration("timeToFirstUpstreamTxByte", v.GetTimeToFirstUpstreamTxByte())
	o.duration("timeToLastUpstreamTxByte", v.GetTimeToLastUpstreamTxByte())
	o.duration("timeToFirstUpstreamRxByte", v.GetTimeToFirstUpstreamRxByte())
	o.duration("timeToLastUpstreamRxByte", v.GetTimeToLastUpstreamRxByte())
	o.duration("timeToFirstDownstreamTxByte", v.GetTimeToFirstDownstreamTxByte())
	o.duration("timeToLastDownstreamTxByte", v.GetTimeToLastDownstreamTxByte())
	o.address("upstreamRemoteAddress", v.GetUpstreamRemoteAddress())
	o.address("upstreamLocalAddress", v.GetUpstreamLocalAddress())
	o.text("upstreamCluster", v.GetUpstreamCluster())
	o.responseFlags("responseFlags", v.GetResponseFlags())
	o.metadata("metadata", v.GetMetadata())
	o.text("upstreamTransportFailureReason", v.GetUpstreamTransportFailureReason())
	o.text("routeName", v.GetRouteName())
	o.address("downstreamDirectRemoteAddress", v.GetDownstreamDirectRemoteAddress())
	o.anys("filterStateObjects", v.GetFilterStateObjects())
	o.texts("customTags", v.GetCustomTags())
	o.duration("duration", v.GetDuration())
	o.uint32("upstreamRequestAttemptCount", v.GetUpstreamRequestAttemptCount())
	o.text("connectionTerminationDetails", v.GetConnectionTerminationDetails())
	o.text("streamId", v.GetStreamId())
	//lint:ignore SA1019 an Envoy that does not know accessLogType yet says it so
	o.flag("intermediateLogEntry", v.GetIntermediateLogEntry())
	o.text("downstreamTransportFailureReason", v.GetDownstreamTransportFailureReason())
	o.uint64("downstreamWireBytesSent", v.GetDownstreamWireBytesSent())
	o.uint64("downstreamWireBytesReceived", v.GetDownstreamWireBytesReceived())
	o.uint64("upstreamWireBytesSent", v.GetUpstreamWireBytesSent())
	o.uint64("upstreamWireBytesReceived", v.GetUpstreamWireBytesReceived())
	o.enum("accessLogType", int32(v.GetAccessLogType()), logpb.AccessLogType_name)
	o.close()
}

// responseFlags writes what went wrong, as Envoy saw it.
func (o *object) responseFlags(name string, v *logpb.ResponseFlags) {
	if v == nil {
		return
	}
	o.open(name)
	o.flag("failedLocalHealthcheck", v.GetFailedLocalHealthcheck())
	o.flag("noHealthyUpstream", v.GetNoHealthyUpstream())
	o.flag("upstreamRequestTimeout", v.GetUpstreamRequestTimeout())
	o.flag("localReset", v.GetLocalReset())
	o.flag("upstreamRemoteReset", v.GetUpstreamRemoteReset())
	o.flag("upstreamConnectionFailure", v.GetUpstreamConnectionFailure())
	o.flag("upstreamConnectionTermination", v.GetUpstreamConnectionTermination())
	o.flag("upstreamOverflow", v.GetUpstreamOverflow())
	o.flag("noRouteFound", v.GetNoRouteFound())
	o.flag("delayInjected", v.GetDelayInjected())
	o.flag("faultInjected", v.GetFaultInjected())
	o.flag("rateLimited", v.GetRateLimited())
	o.unauthorized("unauthorizedDetails", v.GetUnauthorizedDetails())
	o.flag("rateLimitServiceError", v.GetRateLimitServiceError())
	o.flag("downstreamConnectionTermination", v.GetDownstreamConnectionTermination())
	o.flag("upstreamRetryLimitExceeded", v.GetUpstreamRetryLimitExceeded())
	o.flag("streamIdleTimeout", v.GetStreamIdleTimeout())
	o.flag("invalidEnvoyRequestHeaders", v.GetInvalidEnvoyRequestHeaders())
	o.flag("downstreamProtocolError", v.GetDownstreamProtocolError())
	o.flag("upstreamMaxStreamDurationReached", v.GetUpstreamMaxStreamDurationReached())
	o.flag("responseFromCacheFilter", v.GetResponseFromCacheFilter())
	o.flag("noFilterConfigFound", v.GetNoFilterConfigFound())
	o.flag("durationTimeout", v.GetDurationTimeout())
	o.flag("upstreamProtocolError", v.GetUpstreamProtocolError())
	o.flag("noClusterFound", v.GetNoClusterFound())
	o.flag("overloadManager", v.GetOverloadManager())
	o.flag("dnsResolutionFailure", v.GetDnsResolutionFailure())
	o.flag("downstreamRemoteReset", v.GetDownstreamRemoteReset())
	o.close()
}

// tls writes the session that the client opened.
func (o *object) tls(name string, v *logpb.TLSProperties) {
	if v == nil {
		return
	}
	o.open(name)
	o.enum("tlsVersion", int32(v.GetTlsVersion()), logpb.TLSProperties_TLSVersion_name)
	o.wrapped("tlsCipherSuite", v.GetTlsCipherSuite())
	o.text("tlsSniHostname", v.GetTlsSniHostname())
	o.certificate("localCertificateProperties", v.GetLocalCertificateProperties())
	o.certificate("peerCertificateProperties", v.GetPeerCertificateProperties())
	o.text("tlsSessionId", v.GetTlsSessionId())
	o.text("ja3Fingerprint", v.GetJa3Fingerprint())
	o.close()
}

// request writes what the client asked.
func (o *object) request(name string, v *logpb.HTTPRequestProperties) {
	if v == nil {
		return
	}
	o.open(name)
	o.enum("requestMethod", int32(v.GetRequestMethod()), corepb.RequestMethod_name)
	o.text("scheme", v.GetScheme())
	o.text("authority", v.GetAuthority())
	o.wrapped("port", v.GetPort())
	o.text("path", v.GetPath())
	o.text("userAgent", v.GetUserAgent())
	o.text("referer", v.GetReferer())
	o.text("forwardedFor", v.GetForwardedFor())
	o.text("requestId", v.GetRequestId())
	o.text("originalPath", v.GetOriginalPath())
	o.uint64("requestHeadersBytes", v.GetRequestHeadersBytes())
	o.uint64("requestBodyBytes", v.GetRequestBodyBytes())
	o.texts("requestHeaders", v.GetRequestHeaders())
	o.uint64("upstreamHeaderBytesSent", v.GetUpstreamHeaderBytesSent())
	o.uint64("downstreamHeaderBytesReceived", v.GetDownstreamHeaderBytesReceived())
	o.close()
}

// response writes what it got.
func (o *object) response(name string, v *logpb.HTTPResponseProperties) {
	if v == nil {
		return
	}
	o.open(name)
	o.wrapped("responseCode", v.GetResponseCode())
	o.uint64("responseHeadersBytes", v.GetResponseHeadersBytes())
	o.uint64("responseBodyBytes", v.GetResponseBodyBytes())
	o.texts("responseHeaders", v.GetResponseHeaders())
	o.texts("responseTrailers", v.GetResponseTrailers())
	o.text("responseCodeDetails", v.GetResponseCodeDetails())
	o.uint64("upstreamHeaderBytesReceived", v.GetUpstreamHeaderBytesReceived())
	o.uint64("downstreamHeaderBytesSent", v.GetDownstreamHeaderBytesSent())
	o.close()
}

// unauthorized writes why Envoy refused a request itself.
func (o *object) unauthorized(name string, v *logpb.ResponseFlags_Unauthorized) {
	if v == nil {
		return
	}
	o.open(name)
	o.enum("reason", int32(v.GetReason()), logpb.ResponseFlags_Unauthorized_Reason_name)
	o.close()
}

// certificate writes whose certificate was shown.
func (o *object) certificate(name string, v *logpb.TLSProperties_CertificateProperties) {
	if v == nil {
		return
	}
	o.open(name)
	if names := v.GetSubjectAltName(); len(names) > 0 {
		o.key("subjectAltName")
		o.buf = append(o.buf, '[')
		for i, n := range names {
			if i > 0 {
				o.buf = append(o.buf, ',')
			}
			o.altName(n)
		}
		o.buf = append(o.buf, ']')
	}
	o.text("subject", v.GetSubject())
	o.text("issuer", v.GetIssuer())
	o.close()
}

// altName writes one subject alternative name.
func (o *object) altName(n *logpb.TLSProperties_CertificateProperties_SubjectAltName) {
	o.buf = append(o.buf, '{')
	switch san := n.GetSan().(type) {
	case *logpb.TLSProperties_CertificateProperties_SubjectAltName_Uri:
		o.key("uri")
		o.buf = serve.AppendString(o.buf, san.Uri)
	case *logpb.TLSProperties_CertificateProperties_SubjectAltName_Dns:
		o.key("dns")
		o.buf = serve.AppendString(o.buf, san.Dns)
	}
	o.close()
}
