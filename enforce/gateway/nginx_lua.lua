-- Written by portcullis setup nginx-lua, and replaced by it: changes made here are lost.
-- The list that Portcullis keeps in a dictionary shared by nginx's workers, the question
-- that each request asks of it, and the door by which changes come in.
--
-- Keys of the dictionary: "e" and what an entry hits; "c", the number of a span of ten
-- seconds and what it hits, for a count of a throttle; "m" and a name for what is true of
-- the whole: the mark of the state, the prefix lengths in use, the routes.
local bit = require "bit"
local M = {}
local dict = ngx.shared.portcullis
local span = 10

-- setup is called once, before there are workers.
function M.setup(options)
  M.subjects, M.token = options.subjects, nil
  local f = io.open(options.token)
  if f then
    M.token = f:read("*l")
    f:close()
  end
  if dict:get("mmark") then
    return -- a reload: the dictionary outlives it
  end
  local kept = io.open(options.list)
  if kept then
    M.change(kept:read("*a"))
    kept:close()
  end
end

local function unhex(s)
  return (s:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end

local function hex(s)
  return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end))
end

-- change takes lines in: "+ KEY VALUE", "- KEY", "m NAME VALUE", all in hexadecimal but
-- NAME. It returns what went wrong.
function M.change(lines)
  for op, a, b in lines:gmatch("([-+m]) (%w+) ?(%x*)\n") do
    local ok, err = true, nil
    if op == "-" then
      dict:delete("e" .. unhex(a))
    elseif op == "+" then
      ok, err = dict:safe_set("e" .. unhex(a), unhex(b)) -- never in the place of another
    else
      ok, err = dict:safe_set("m" .. a, unhex(b))
    end
    if not ok then
      return err
    end
  end
end

-- What is the same for all requests until the state changes, by worker.
local seen, lengths, routes = nil, {}, {}

local function refresh()
  local mark = dict:get("mmark")
  if mark == seen then
    return
  end
  lengths, routes = {}, {}
  for _, family in ipairs({ "4", "6" }) do
    lengths[family] = {}
    for n in (dict:get("mbits" .. family) or ""):gmatch("%d+") do
      table.insert(lengths[family], tonumber(n))
    end
  end
  for label, pattern in (dict:get("mroutes") or ""):gmatch("(%x+) ([^\n]+)\n") do
    table.insert(routes, { label = label, pattern = pattern })
  end
  seen = mark
end

local function masked(addr, bits)
  local whole, rest = math.floor(bits / 8), bits % 8
  local s = addr:sub(1, whole)
  if rest > 0 then
    s = s .. string.char(bit.band(addr:byte(whole + 1), 256 - bit.lshift(1, 8 - rest)))
  end
  return s
end

-- over counts a request against a throttle, unless it is over the rate: the count of this
-- span and the part of the one before that lies within ten seconds.
local function over(key, limit)
  local now = ngx.now()
  local number = math.floor(now / span)
  local part = 1 - (now / span - number)
  local name = "c" .. (number % 1000) .. key
  local count = (dict:get(name) or 0) + (dict:get("c" .. ((number - 1) % 1000) .. key) or 0) * part
  if count >= limit then
    return true
  end
  dict:incr(name, 1, 0, 2 * span)
end

local function throttled(limit)
  ngx.header["Retry-After"] = span
  ngx.header["RateLimit"] = '"portcullis";r=0;t=' .. span
  ngx.header["RateLimit-Policy"] = '"portcullis";q=' .. limit .. ";w=" .. span
  return ngx.exit(429)
end

local mapped = string.rep("\0", 10) .. "\255\255" -- IPv4 within IPv6
local families = { [4] = "4", [16] = "6" }

-- decide answers a request: 403, 429, or nothing.
function M.decide()
  refresh()
  if not seen then
    return
  end
  local places = { "" }
  for _, r in ipairs(routes) do
    if ngx.re.find(ngx.var.uri, r.pattern, "jo") then
      table.insert(places, 1, r.label)
      break
    end
  end
  local addr = ngx.var.binary_remote_addr
  if #addr == 16 and addr:sub(1, 12) == mapped then
    addr = addr:sub(13)
  end
  local family = families[#addr] -- nil: it came over a unix socket
  local held, by
  for _, place in ipairs(places) do
    local keys = {}
    for _, bits in ipairs(lengths[family] or {}) do
      table.insert(keys, place .. "|" .. family .. string.char(bits) .. masked(addr, bits))
    end
    for _, s in ipairs(M.subjects) do
      local value = ngx.var[s.variable]
      if value and value ~= "" then
        table.insert(keys, place .. "|s" .. s.kind .. "|" .. value)
      end
    end
    if place ~= "" then
      table.insert(keys, place .. "|r")
    end
    for _, key in ipairs(keys) do
      local value = dict:get("e" .. key)
      if value == "block" then
        return ngx.exit(403)
      elseif value and not held then
        held, by = tonumber(value), key
      end
    end
  end
  if held and over(by, held) then
    return throttled(held)
  end
end

-- door answers Portcullis: GET is the mark, and with ?keys all keys; POST takes changes.
function M.door()
  ngx.header["Content-Type"] = "text/plain"
  local token = ngx.var.http_x_portcullis_token or ""
  if not M.token or M.token == "" or ngx.hmac_sha1(M.token, token) ~= ngx.hmac_sha1(M.token, M.token) then
    return ngx.exit(401)
  end
  if ngx.req.get_method() == "POST" then
    ngx.req.read_body()
    local lines = ngx.req.get_body_data() or ""
    local err = M.change(lines)
    if not lines:find("m mark ", 1, true) then -- the state is no longer the one that the mark names
      dict:safe_set("mmark", "changed")
    end
    if err then
      ngx.status = 507
      ngx.print(err)
      return
    end
  elseif ngx.var.args == "keys" then
    for _, key in ipairs(dict:get_keys(0)) do
      if key:sub(1, 1) == "e" then
        ngx.print(hex(key:sub(2)), "\n")
      end
    end
    return
  end
  ngx.print(dict:get("mmark") or "")
end

return M
