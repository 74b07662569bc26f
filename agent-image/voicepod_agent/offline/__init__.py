"""A pipeline that needs no key, no service and no model hub: the receptionist of a café.

Small enough to come with the image, and real: it recognizes speech, follows the conversation and
answers aloud. So the first call works before anybody has signed up for anything, and so do tests.
"""
