package console

// The JSON shapes of what is counted and gathered for a page.

type meJSON struct {
	Name  string `json:"name" doc:"As the ledger writes it, without the address."`
	Role  string `json:"role" enum:"viewer,operator,admin"`
	Login bool   `json:"login" doc:"Whether one can log in and out."`
}

type tallyJSON struct {
	Rule     string `json:"rule"`
	Family   string `json:"family" enum:"credential,rate,injection,recon,api"`
	Severity string `json:"severity" enum:"info,low,medium,high,critical"`
	Kind     string `json:"kind" doc:"Kind of the subjects."`
	Findings int64  `json:"findings"`
	Newest   string `json:"newest" format:"date-time"`
}

type summaryJSON struct {
	Since     string           `json:"since" format:"date-time"`
	Until     string           `json:"until,omitempty" format:"date-time"`
	Findings  []tallyJSON      `json:"findings"`
	Decisions map[string]int64 `json:"decisions" doc:"By state: those made since, and all that have not ended."`
}

type requestJSON struct {
	evidenceJSON
	Rule    string `json:"rule"`
	Finding string `json:"finding"`
}

type subjectStoryJSON struct {
	Subject   subjectJSON         `json:"subject"`
	Network   string              `json:"network,omitempty" doc:"The /64 that an IPv6 client is acted on with."`
	FirstSeen string              `json:"first_seen,omitempty" format:"date-time"`
	LastSeen  string              `json:"last_seen,omitempty" format:"date-time"`
	Standing  *standingJSON       `json:"standing,omitempty" doc:"Who else would be hit, as the newest finding knew it."`
	Findings  []findingJSON       `json:"findings" doc:"The newest 100."`
	Decisions []decisionStoryJSON `json:"decisions" doc:"The newest 100."`
	Campaigns []findingJSON       `json:"campaigns" doc:"Campaigns that it takes part in, of the newest 200."`
	Allow     []allowJSON         `json:"allow" doc:"Entries of the allow list that cover it."`
	Requests  []requestJSON       `json:"requests" doc:"Its lines that are kept as evidence, the newest first."`
	More      bool                `json:"more" doc:"There are more findings or decisions than these."`
}

type ruleJSON struct {
	Rule      string   `json:"rule"`
	Version   int      `json:"version"`
	Family    string   `json:"family" enum:"credential,rate,injection,recon,api"`
	Flags     string   `json:"flags"`
	Tags      []string `json:"tags"`
	By        string   `json:"by" doc:"Whose behaviour is judged."`
	Needs     string   `json:"needs" doc:"What the log must say for it to see anything."`
	State     string   `json:"state" doc:"What it keeps, which is what it costs."`
	Evasion   string   `json:"evasion" doc:"What stays invisible under it."`
	Enabled   bool     `json:"enabled"`
	Mode      string   `json:"mode" enum:"enforce,observe,simulate,off,advice"`
	Findings  int64    `json:"findings"`
	Newest    string   `json:"newest,omitempty" format:"date-time"`
	Decisions int64    `json:"decisions" doc:"Decisions in which it weighed most."`
	Standing  int64    `json:"standing" doc:"Of them on the gateways now."`
	Approved  int64    `json:"approved" doc:"Of them put in force by a person."`
	Regretted int64    `json:"regretted" doc:"Of them released or dismissed by a person."`
	CostNS    *float64 `json:"cost_ns,omitempty" doc:"What it takes of a line, in nanoseconds on average over batches that are timed since the start; missing where detection is in another process, or nothing was timed yet."`
	Precision *float64 `json:"precision,omitempty" doc:"Approved by those that a person judged, from 0 to 1; missing where nobody judged."`
}

type rulesJSON struct {
	Since string     `json:"since" format:"date-time"`
	Rules []ruleJSON `json:"rules"`
}

type traceJSON struct {
	Decision string      `json:"decision"`
	Subject  subjectJSON `json:"subject"`
	Action   string      `json:"action"`
	Rule     string      `json:"rule,omitempty"`
	changeJSON
}

type changesJSON struct {
	Changes []traceJSON `json:"changes"`
	Next    string      `json:"next,omitempty" doc:"The cursor of the next page; missing on the last one."`
}

type commandsJSON struct {
	Commands []commandJSON `json:"commands"`
	Next     string        `json:"next,omitempty" doc:"The cursor of the next page; missing on the last one."`
}

type keyJSON struct {
	Name    string `json:"name"`
	Role    string `json:"role" enum:"viewer,operator,admin"`
	Created string `json:"created" format:"date-time"`
	Expires string `json:"expires,omitempty" format:"date-time"`
	Live    bool   `json:"live"`
	Secrets int    `json:"secrets" doc:"2 while a rotation lasts."`
}

type keysJSON struct {
	Keys []keyJSON `json:"keys"`
}
