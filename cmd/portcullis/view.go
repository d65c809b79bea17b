package main

import (
	"strings"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/enforce"
)

// The objects of --output jsonl for what the enforcer keeps. They have the field
// names of the console's API.

type subjectObject struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

type decisionObject struct {
	ID         string        `json:"id"`
	Subject    subjectObject `json:"subject"`
	Route      string        `json:"route,omitempty"`
	Action     string        `json:"action"`
	Rate       float64       `json:"rate,omitempty"`
	Burst      int           `json:"burst,omitempty"`
	State      string        `json:"state"`
	Live       bool          `json:"live"`
	Reason     string        `json:"reason,omitempty"`
	Code       string        `json:"code,omitempty"`
	Rule       string        `json:"rule,omitempty"`
	Findings   []string      `json:"findings"`
	Score      float64       `json:"score"`
	Why        string        `json:"why"`
	Collateral string        `json:"collateral,omitempty"`
	By         string        `json:"by"`
	Offence    int           `json:"offence"`
	People     int64         `json:"people"`
	Good       int64         `json:"good"`
	Created    string        `json:"created"`
	Expires    string        `json:"expires"`
	PushedAt   string        `json:"pushed_at,omitempty"`
	Checked    string        `json:"checked,omitempty"`
	Trigger    string        `json:"trigger,omitempty"`
}

func decisionView(d enforce.Decision) decisionObject {
	findings := strings.Fields(d.Findings)
	if findings == nil {
		findings = []string{}
	}
	return decisionObject{
		ID: d.ID, Subject: subjectObject(d.Subject), Route: d.Route, Action: string(d.Action), Rate: d.Rate, Burst: d.Burst,
		State: string(d.State), Live: d.State.Live(), Reason: d.Reason, Code: d.Code, Rule: d.Rule, Findings: findings,
		Score: d.Score, Why: d.Why, Collateral: d.Collateral, By: d.By, Offence: d.Offence, People: d.People, Good: d.Good,
		Created: detect.FormatTime(d.Created), Expires: detect.FormatTime(d.Expires), PushedAt: detect.FormatTime(d.PushedAt),
		Checked: detect.FormatTime(d.Checked), Trigger: detect.FormatTime(d.Trigger),
	}
}

type changeObject struct {
	At   string `json:"at"`
	Who  string `json:"who"`
	From string `json:"from,omitempty"`
	To   string `json:"to"`
	Why  string `json:"why,omitempty"`
}

// storyObject is a decision with its history.
type storyObject struct {
	decisionObject
	History []changeObject `json:"history"`
}

func storyView(d enforce.Decision, changes []enforce.Change) storyObject {
	s := storyObject{decisionObject: decisionView(d), History: []changeObject{}}
	for _, c := range changes {
		s.History = append(s.History, changeObject{At: detect.FormatTime(c.At), Who: c.Who, From: string(c.From), To: string(c.To), Why: c.Why})
	}
	return s
}

type allowObject struct {
	Value   string `json:"value"`
	Why     string `json:"why"`
	By      string `json:"by"`
	Created string `json:"created"`
	Expires string `json:"expires,omitempty"`
}

func allowView(a enforce.Allow) allowObject {
	return allowObject{Value: a.Value, Why: a.Why, By: a.By, Created: detect.FormatTime(a.Created), Expires: detect.FormatTime(a.Expires)}
}

// commandObject is a command that was posted, and what came of it.
type commandObject struct {
	ID     int64  `json:"id"`
	Verb   string `json:"verb"`
	Arg    string `json:"arg"`
	Done   bool   `json:"done"`
	Failed bool   `json:"failed"`
	Result string `json:"result,omitempty"`
}
