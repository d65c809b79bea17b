-- Asks Portcullis about a request, as forward-auth does, before it is forwarded.
-- http-request lua.portcullis sets txn.portcullis_status (200, 401, 403, 429; 0 where it
-- does not answer in time), _retry, _challenge and _consumer as it says, and the headers
-- that tell the service who it is.

local address = "http://127.0.0.1:8479/authz" -- "listen ask" in haproxy.cfg

core.register_action("portcullis", { "http-req" }, function(txn)
    local shown = txn.http:req_get_headers()
    local headers = {
        ["x-forwarded-for"] = { txn.f:src() },
        ["x-forwarded-method"] = { txn.f:method() },
        ["x-forwarded-uri"] = { txn.f:pathq() },
        ["x-forwarded-host"] = { txn.f:req_fhdr("host") or "" },
    }
    for _, name in ipairs({ "x-api-key", "authorization", "cookie" }) do
        if shown[name] then
            headers[name] = {}
            for i = 0, #shown[name] do
                headers[name][i + 1] = shown[name][i]
            end
        end
    end

    local answer = core.httpclient():get({ url = address, headers = headers })
    local said = answer and answer.headers or {}
    local function first(name)
        return said[name] and said[name][0] or ""
    end
    local status = answer and answer.status or 0
    if status >= 500 and first("retry-after") == "" then
        status = 0 -- HAProxy's own answer, where nobody else gave one
    end
    txn:set_var("txn.portcullis_status", status)
    txn:set_var("txn.portcullis_retry", first("retry-after"))
    txn:set_var("txn.portcullis_challenge", first("www-authenticate"))
    txn:set_var("txn.portcullis_consumer", first("x-portcullis-consumer"))
    for _, name in ipairs({ "x-portcullis-consumer", "x-portcullis-key-id", "x-portcullis-scopes", "x-portcullis-signature" }) do
        txn.http:req_del_header(name)
        if first(name) ~= "" then
            txn.http:req_set_header(name, first(name))
        end
    end
end, 0)
