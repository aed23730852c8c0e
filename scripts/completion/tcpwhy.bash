# SPDX-License-Identifier: GPL-2.0-only
# bash completion for tcpwhy(1); a test compares it with --help.

_tcpwhy_findings() { # as the installed program knows them
  "${COMP_WORDS[0]}" explain 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'
}

_tcpwhy_options() { # command
  local filters="--port --local --remote --pid --comm --cgroup --netns"
  local output="--format --severity --events"
  local thresholds="--threshold --config --show-config"
  local limits="--max-connections --max-memory --buffer --btf --without"
  local recording="--force --max-size --max-files"
  case $1 in
    trace) echo "--help --for --metrics --record $filters $output $thresholds $limits $recording" ;;
    record)
      echo "--help --for --metrics --output $filters $thresholds $limits $recording --flight-recorder --save-on" \
        "--save-interval"
      ;;
    report) echo "--help --since --until --connections --sort --connection --output --force $filters $output $thresholds" ;;
    check) echo "--help --for --since --until --fail-on --first --format $filters $thresholds $limits" ;;
    explain) echo "--help --cause" ;;
    top)
      echo "--help --speed --for --record --output $filters $thresholds $limits $recording --flight-recorder" \
        "--save-on --save-interval"
      ;;
    doctor) echo "--help --format --self-test --btf" ;;
    *) echo "--help --version" ;;
  esac
}

_tcpwhy_words() { # words that may stand here
  local current=${COMP_WORDS[COMP_CWORD]}
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_tcpwhy_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
}

_tcpwhy() {
  local command=${COMP_WORDS[1]} current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _tcpwhy_words "trace record report check explain top doctor $(_tcpwhy_options)"
    return
  fi
  case $previous in
    --format)
      if [[ $command == report ]]; then _tcpwhy_words "text json html"; else _tcpwhy_words "text json"; fi
      ;;
    --severity) _tcpwhy_words "info warning critical" ;;
    --fail-on) _tcpwhy_words "warning critical" ;;
    --sort) _tcpwhy_words "worst time duration bytes retransmits" ;;
    --save-on) _tcpwhy_words "critical never" ;;
    --threshold)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W "$(_tcpwhy_findings)" -S = -- "$current")
      ;;
    --metrics) _tcpwhy_words "9435" ;;
    --netns) _tcpwhy_words "$(ip netns list 2>/dev/null | cut -d' ' -f1)" ;;
    --btf | --config | --record | --output | -o) _tcpwhy_files ;;
    --for | --port | --local | --remote | --pid | --comm | --cgroup | --max-connections | --buffer | --max-size | \
      --max-files | --flight-recorder | --max-memory | --save-interval | --since | --until | --connection | --cause | --speed) ;;
    *)
      if [[ $current == -* ]]; then
        _tcpwhy_words "$(_tcpwhy_options "$command")"
      elif [[ $command == report || $command == check || $command == top ]]; then
        _tcpwhy_files
      elif [[ $command == explain ]]; then
        _tcpwhy_words "$(_tcpwhy_findings)"
      fi
      ;;
  esac
}

complete -F _tcpwhy tcpwhy
