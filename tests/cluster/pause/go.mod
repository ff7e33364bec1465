module kelong.dev/tests/cluster/pause

go 1.24
