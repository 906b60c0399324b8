"""What a study is: configuration, paradigms, plan, and one generation of the loop; where steps run
is not here.
"""
