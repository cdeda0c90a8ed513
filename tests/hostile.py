"""Values that a stranger may write where a name, a cell or a file is expected, each meant for another interpreter.

HIT is what each would leave behind: a file of this name, an element of a page, a word that only an evaluation prints.
"""

PAYLOADS = {
    "shell": "$(touch HIT)",
    "backtick": "`touch HIT`",
    "semicolon": "x;touch HIT;",
    "newline": "x\ntouch HIT",
    "environment": "$CANARY",
    "omegaconf": "${oc.env:CANARY}",
    "jinja": "{{ 7*7 }}{% include '/etc/passwd' %}",
    "format": "{0.__class__}%s%n",
    "script": "</script><script>HIT</script>",
    "image": '"><img src=x onerror=HIT>',
    "markdown": "[x](javascript:HIT)",
    "up": "../../HIT",
    "absolute": "/tmp/HIT",
    "escape": "\x1b]0;HIT\x07\x1b[2J",
    "c1": "\x9b2JHIT",
    "bidi": "HIT\u202egnp.exe",
    "return": "x\rHIT",
    "formula": "=cmd|' /C HIT'!A0",
    "nul": "x\0HIT",
    "sql": "'; DROP TABLE runs; --",
    "yaml": "!!python/object/apply:os.system ['touch HIT']",
    "prometheus": 'a"} 1\numemma_HIT 5',
    "csv": 'a","b\r\nHIT',
    "option": "--upload-pack=touch HIT",
    "long": "x" * 100_000,
}
UNSEEN = {
    "newline",
    "escape",
    "c1",
    "bidi",
    "return",
    "nul",
    "prometheus",
    "csv",
}  # hold what commands a terminal or ends a line
SEEN = sorted(set(PAYLOADS) - UNSEEN - {"long"})
