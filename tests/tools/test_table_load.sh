#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# comap table load and scan in their formats: what one prints the other reads, and what is wrong with a
# file is said with its place and the way out.
. "${0%/*}/lib.sh"

lines() { "$comap" table scan "$1" "$2" | sort; }
# CODE PATTERN CONTENTS OPTION ...: loading that fails so, and says so
refuse() {
	printf "$3" >"$COMAP_DIR/.bad"
	run "$1" table load fx other "$COMAP_DIR/.bad" "${@:4}"
	complains "$2"
}

# bytes of every kind, in all formats, there and back
run 0 table put fx odd $'tab\there' $'line\nwith \\ and \xff' --create
run 0 table put fx odd 'a "quoted", key' $'\r\n'
run 0 table put fx odd $'\xef\xbb\xbfmark' ''
run 0 table put fx odd ' ' '\x41'
for format in tsv csv json; do
	"$comap" table scan fx odd --format $format >"$COMAP_DIR/.$format"
	run 0 table load fx "from-$format" "$COMAP_DIR/.$format" --format $format --json
	json '.loaded == 4'
	same "$(lines fx odd)" "$(lines fx "from-$format")" "$format, there and back"
	run 0 table load fx "bulk-$format" "$COMAP_DIR/.$format" --format $format --bulk
	same "$(lines fx odd)" "$(lines fx "bulk-$format")" "$format, there and back in bulk"
done
"$comap" table scan fx odd --format csv -H >"$COMAP_DIR/.csv"
run 0 table load fx bare "$COMAP_DIR/.csv" --format csv -H
same "$(lines fx odd)" "$(lines fx bare)" "csv without headings, there and back"

# the same of a table with a field list
"$role" typed table 40
same 40 "$("$comap" table scan typed rates | wc -l)" "forty typed entries"
for format in tsv csv json; do
	"$comap" table scan typed rates --format $format >"$COMAP_DIR/.$format"
	"$role" "typed-$format" table 0
done
# a venue that is no UTF-8 is no JSON string
grep -v '00ff' "$COMAP_DIR/.json" >"$COMAP_DIR/.text"
for format in tsv csv; do
	run 0 table load typed-$format rates "$COMAP_DIR/.$format" --format $format --json
	json '.loaded == 40'
	same "$(lines typed rates)" "$(lines typed-$format rates)" "$format with fields, there and back"
done
run 0 table load typed-json rates "$COMAP_DIR/.text" --format json --bulk
same "$(lines typed rates | grep -v 00ff)" "$(lines typed-json rates)" "json with fields, there and back"
run 2 table load typed rates "$COMAP_DIR/.csv" --format csv --value-column 2
complains 'has a field list'

# columns by name and number, rows over several lines, CRLF, empty lines
printf 'city,iata,name\r\nMunich,MUC,"Franz ""Josef""\r\nStrauss"\r\n\r\nNew York,JFK,Kennedy' >"$COMAP_DIR/.air"
run 0 table load fx air "$COMAP_DIR/.air" --format csv --key-column iata --value-column name
same $'JFK\tKennedy' "$(lines fx air | head -n 1)" "columns by their headings"
same $'MUC\tFranz "Josef"\r\\nStrauss' "$(lines fx air | sed -n '2s/\\x0d/\r/p')" "a cell of two lines"
tail -n +5 "$COMAP_DIR/.air" >"$COMAP_DIR/.last"
run 0 table load fx numbers "$COMAP_DIR/.last" --format csv -H --key-column 2 --value-column 1
same $'JFK\tNew York' "$(lines fx numbers)" "columns by their numbers"
printf 'id\tname\tage\n1\tAda\t36\n' >"$COMAP_DIR/.tsv"
run 0 table load fx people "$COMAP_DIR/.tsv" --key-column name --value-column age
same $'Ada\t36' "$(lines fx people)" "headings of a tab-separated file"
printf '{"id": 7, "tags": ["a"]}\n\n{"id": "x", "tags": null}\n' >"$COMAP_DIR/.json"
run 0 table load fx whole "$COMAP_DIR/.json" --format json --key-column id
same $'7\t{"id": 7, "tags": ["a"]}\nx\t{"id": "x", "tags": null}' "$(lines fx whole)" "the line is the value"
run 0 table load fx tags "$COMAP_DIR/.json" --format json --key-column id --value-column tags
same $'7\t["a"]\nx\tnull' "$(lines fx tags)" "a member is the value"

# expiry comes along in JSON; what is over is left out
printf '{"key": "a", "value": "", "expires_ns": 1}\n{"key": "b", "value": "", "expires_ns": %s}\n' \
	"$(date -d '+1 hour' +%s%N)" >"$COMAP_DIR/.json"
run 0 table load fx mortal "$COMAP_DIR/.json" --format json --json
json '.loaded == 1 and .expired == 1'
run 0 table scan fx mortal --json
json '.key == "b" and .expires_ns > 1e18'

# numbers of JSON: as they are written, or an error
cat >"$COMAP_DIR/.json" <<'END'
{"key": 123456789012345678901, "value": -9223372036854775809}
{"key": -0, "value": 18446744073709551616}
{"key": "kept", "value": [18446744073709551615, -9223372036854775808, 1.10, 1e400, "a\\", -1]}
{"key": "other", "value": "\"[", "none": [123456789012345678901]}
END
run 0 table load fx numerals "$COMAP_DIR/.json" --format json
same '-0	18446744073709551616
123456789012345678901	-9223372036854775809
kept	[18446744073709551615,-9223372036854775808,1.10,1e400,"a\\\\",-1]
other	"[' "$(lines fx numerals)" "all digits of numbers are kept"
run 0 table load fx numeral-lines "$COMAP_DIR/.json" --format json --key-column key
same "$(sed -n 1p "$COMAP_DIR/.json")" "$("$comap" table get fx numeral-lines 123456789012345678901)" \
	"and those of a whole line"
number='would not be kept: write it as a string'
refuse 1 "line 1: .*$number" '{"key":"a","value":{"b":18446744073709551616}}\n' --format json --bulk
refuse 1 "line 1: .*$number" '{"key":[-0],"value":""}\n' --format json --bulk
for time in -5 '"x"' 1e30 1.5 18446744073709551616 true; do
	refuse 1 'line 1: "expires_ns" is no time' '{"key":"a","value":"","expires_ns":'$time'}\n' --format json --bulk
done

# a cache says what it has evicted
seq 1 20000 | sed 's/.*/&\tvalue &/' >"$COMAP_DIR/.many"
run 0 table load cached t "$COMAP_DIR/.many" --create --budget 512K --json
json '.loaded == 20000 and .evicted > 10000'
run 1 table load cached t "$COMAP_DIR/.many" --bulk
complains 'is a cache, which is not loaded at once: put the entries one by one'

# the bar, where it is asked for
run 0 table load fx many "$COMAP_DIR/.many" --progress
checks=$((checks + 1))
tr '\r' '\n' <"$err" | grep -Eq '^\[[#.]{30}\] +[0-9]+ %  [0-9.]+ MB/s  [0-9.]+ s left  [0-9]+ entries' ||
	wrong "the bar has rate, time left, and entries"

# what is wrong, where, and what to do
run 0 table put fx other stays here
refuse 1 'line 2: no tab between key and value; --format csv or json' 'a\tb\nno tab\n' --bulk
refuse 1 'line 3: 3 columns, where the first line has 2.*quotes' 'key,value\na,b\nc,d,e\n' --format csv --bulk
refuse 1 'line 1: 3 columns.*--value-column' 'a,b,c\n1,2,3\n' --format csv --bulk
refuse 1 "line 1: no column 'd' among the 3" 'a,b,c\n' --format csv --key-column d --bulk
refuse 1 "line 1: no line of headings" 'a,b\n' --format csv -H --key-column d --bulk
refuse 1 'line 2: a quote is opened in this row' 'a,b\n1,"2\n3,4\n' --format csv --bulk
refuse 1 'line 2, column 8: no JSON' '{"key":"a","value":""}\n{"key":]\n' --format json --bulk
refuse 1 'line 1: the object is not closed.*jq -c' '{"key":\n"a"}\n' --format json --bulk
refuse 1 'line 1, column 1: a list.*jq -c' '[{"key":"a"}]\n' --format json --bulk
refuse 1 'line 1.*no member "key".*--key-column' '{"id":"a"}\n' --format json --bulk
refuse 1 'line 1.*no member "value".*--value-column' '{"key":"a"}\n' --format json --bulk
refuse 1 'line 1.*hexadecimal' '{"key_hex":"abc","value":""}\n' --format json --bulk
refuse 1 'line 1, column 1: no object' '7\n' --format json --bulk
refuse 1 'line 1.*UTF-8' '{"key":"\xff","value":""}\n' --format json --bulk
same $'stays\there' "$(lines fx other)" "of files that are refused nothing is there"
run 2 table load fx other "$COMAP_DIR/.many" --format xml
complains "'xml' is no format"
row() { # PATTERN ROW
	printf '%s\n%s\n' key,eurusd,count,ticks,venue,key "$2" >"$COMAP_DIR/.bad"
	run 1 table load typed rates "$COMAP_DIR/.bad" --format csv --key-column 1
	complains "$1"
}
row "line 2, column 3: 'x' for the field eurusd \(f64\): a number" 'k,x,1,"[1, 2, 3]",v,cafe0001'
row 'field count \(u64\): the number is too large' 'k,1,18446744073709551616,"[1, 2, 3]",v,cafe0001'
row 'field count \(u64\): a number that is not negative' 'k,1,-1,"[1, 2, 3]",v,cafe0001'
row 'field ticks \(i32\): the list has not as many' 'k,1,1,"[1, 2]",v,cafe0001'
row 'field ticks \(i32\): the list has not as many' 'k,1,1,"[1, 2, 3, 4]",v,cafe0001'
row 'field ticks \(i32\): the number is too large' 'k,1,1,"[1, 2, 2147483648]",v,cafe0001'
row 'field venue \(str\): the text is too long' 'k,1,1,"[1, 2, 3]",123456789,cafe0001'
row 'field key \(bytes\): two hexadecimal' 'k,1,1,"[1, 2, 3]",v,cafe00'
printf 'key,eurusd\nk,1\n' >"$COMAP_DIR/.bad"
run 1 table load typed rates "$COMAP_DIR/.bad" --format csv
complains "line 1: no column 'count', which is a field of struct fx"
printf '{"key":"k","fields":{"eurusd":"no"}}\n' >"$COMAP_DIR/.bad"
run 1 table load typed rates "$COMAP_DIR/.bad" --format json
complains 'line 1: the field eurusd \(f64\): a number is needed'
fields='"ticks":[1,2,3],"venue":"v","key":"cafe0001"'
printf '{"key":"k","fields":{"eurusd":-0,"count":18446744073709551616,%s}}\n' "$fields" >"$COMAP_DIR/.bad"
run 1 table load typed rates "$COMAP_DIR/.bad" --format json
complains 'line 1: the field count \(u64\): the number is too large'
printf '{"key":"k","fields":{"eurusd":-0,"count":18446744073709551615,%s}}\n' "$fields" >"$COMAP_DIR/.good"
run 0 table load typed rates "$COMAP_DIR/.good" --format json
same '-0' "$("$comap" table get typed rates k | sed -n 's/^eurusd *//p')" "a zero keeps its sign"
run 0 verify fx
run 0 verify typed
finish
