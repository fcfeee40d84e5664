# SPDX-License-Identifier: MIT
# Completion of comap(1) for bash: verbs, options, regions of the folder, values of the region.
# tests/tools/test_help.sh compares the lists with what the command says.

_comap_verbs="create info ls ps value table pages verify advise unlink path version help"
_comap_value_verbs="get put watch"
_comap_table_verbs="get put del add touch clear scan load dump restore stat watch"

declare -gA _comap_options=(
	[create]="--max --mode --seats --threads --objects --fenced --if-missing --json"
	[info]="--json --bytes"
	[ls]="--names --types --json --bytes --no-headings"
	[ps]="--json --no-headings"
	["value get"]="--field --hex --raw --wait --timeout --json --no-headings"
	["value put"]="--create --file --hex --json --owner"
	["value watch"]="--count --after --timeout --hex --raw --wait --json"
	["table get"]="--hex --raw --key-hex --json --no-headings"
	["table put"]="--create --absent --present --version --ttl --key-hex --budget --owner --json"
	["table del"]="--key-hex --owner"
	["table add"]="--create --key-hex --owner --json"
	["table touch"]="--ttl --key-hex --owner"
	["table clear"]="--owner"
	["table scan"]="--format --no-headings --keys --json"
	["table dump"]="--every --by-and-by --owner --json"
	["table restore"]="--create --owner --json"
	["table load"]="--format --key-column --value-column --no-headings --create --bulk --ttl --budget --owner --progress --json"
	["table stat"]="--json --bytes"
	["table watch"]="--all --count --keys --timeout --json"
	[pages]="--no-frames --json --bytes --no-headings"
	[verify]="--tries --json --bytes"
	[advise]="--jumps --writes --passes --processes --measure --cold --literal --runs --json --bytes --no-headings"
	[unlink]="--if-there"
	[path]="--json"
	[version]="--json"
	[help]=""
)

_comap_reply() { # CURRENT WORD ...
	mapfile -t COMPREPLY < <(compgen -W "${*:2}" -- "$1")
}

# Names of regions, or files where the word looks like a path.
_comap_region() { # COMMAND CURRENT
	if [[ $2 == */* ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
	else
		_comap_reply "$2" "$("$1" ls --names 2>/dev/null)"
	fi
}

_comap() {
	local command=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]-} first=2

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		_comap_reply "$current" "$_comap_verbs" --help --version
		return
	fi
	if [[ $verb == value || $verb == table ]]; then
		if ((COMP_CWORD == 2)); then
			[[ $verb == value ]] && _comap_reply "$current" "$_comap_value_verbs"
			[[ $verb == table ]] && _comap_reply "$current" "$_comap_table_verbs"
			return
		fi
		verb="$verb ${COMP_WORDS[2]}"
		first=3
	fi
	case $previous in
	--file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return ;;
	--owner)
		_comap_reply "$current" any "$(compgen -u)"
		return ;;
	--format)
		_comap_reply "$current" tsv csv json
		return ;;
	--max | --mode | --seats | --threads | --objects | --field | --timeout | --ttl | --budget | --count | \
		--version | --every | --key-column | --value-column | \
		--after | --tries | --passes | --processes | --literal | --runs)
		return ;;
	esac
	if [[ $verb == advise && $current != -* ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	elif [[ $current == -* ]]; then
		_comap_reply "$current" "${_comap_options[$verb]-}" --help
	elif [[ $verb == help ]]; then
		_comap_reply "$current" "$_comap_verbs"
	elif ((COMP_CWORD == first)) || [[ $verb == unlink ]]; then
		[[ $verb == create || $verb == version ]] || _comap_region "$command" "$current"
	elif ((COMP_CWORD == first + 1)) && [[ $verb == value* || $verb == table* ]]; then
		_comap_reply "$current" \
			"$("$command" ls --names "${COMP_WORDS[first]}" 2>/dev/null)"
	fi
}

complete -F _comap comap
